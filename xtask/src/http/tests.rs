use std::os::unix::net::UnixStream;

use super::*;
use crate::garble::{self, garbled};

fn exchange(answers: &[u8]) -> (Exchange<Timed<UnixStream>>, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(answers).unwrap();
    let patience = Patience::within(Duration::from_secs(5));
    (Exchange::new(Timed::new(ours, patience), 16), theirs)
}

fn ask(exchange: &mut Exchange<Timed<UnixStream>>) -> io::Result<(u16, Vec<u8>)> {
    let status = exchange.send(&Request::get("here", "/"))?;
    Ok((status, exchange.body()?))
}

#[test]
fn one_connection_answers_one_question_after_another() {
    let (mut exchange, _open) = exchange(
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]\
          HTTP/1.1 100 Continue\r\n\r\n\
          HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}\
          HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\n[2\r\n1\r\n]\r\n0\r\nT: r\r\n\r\n\
          HTTP/1.1 204 No Content\r\n\r\n\
          HTTP/1.0 500 Oh\r\n\r\nuntil it closes",
    );
    assert_eq!(ask(&mut exchange).unwrap(), (200, b"[1]".to_vec()));
    assert_eq!(ask(&mut exchange).unwrap(), (404, b"{}".to_vec()));
    assert_eq!(ask(&mut exchange).unwrap(), (200, b"[2]".to_vec()));
    assert_eq!(ask(&mut exchange).unwrap(), (204, Vec::new()));
    _open.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(ask(&mut exchange).unwrap(), (500, b"until it closes".to_vec()));
}

#[test]
fn an_answer_that_is_cut_at_any_byte_is_an_error() {
    for whole in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n",
    ] {
        for end in 0..whole.len() {
            let (mut exchange, theirs) = exchange(&whole[..end]);
            theirs.shutdown(std::net::Shutdown::Write).unwrap();
            let error = ask(&mut exchange).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {end}: {error}");
        }
    }
}

#[test]
fn what_is_not_http_is_called_so() {
    for text in [
        "SSH-2.0-OpenSSH\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nlots\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(1 << 17)),
    ] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let writer = std::thread::spawn(move || {
            let _ = theirs.write_all(text.as_bytes());
            theirs
        });
        let timed = Timed::new(ours, Patience::within(Duration::from_secs(5)));
        let mut exchange = Exchange::new(timed, 16);
        let error = ask(&mut exchange).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        drop(exchange);
        let _ = writer.join();
    }
}

#[test]
fn an_answer_of_any_kind_ends() {
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[2\r\n1\r\n]\r\n0\r\n\r\n";
    let words = [
        "Content-Length: 18446744073709551615\r\n",
        "Transfer-Encoding: chunked\r\n",
        "ffffffffffffffff\r\n",
        "\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ];
    garbled(whole, &words, |bytes| {
        // A socket holds no more before somebody reads.
        let (mut exchange, theirs) = exchange(&bytes[..bytes.len().min(8 << 10)]);
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let mut got = 0;
        while let Ok((_, body)) = ask(&mut exchange) {
            got += body.len() + 1;
            assert!(got <= bytes.len());
        }
    });
}

#[test]
fn an_answer_that_drips_ends_in_time() {
    let (mut exchange, mut theirs) = exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
    exchange.stream().wait(Patience::within(Duration::from_millis(200)));
    let drip = std::thread::spawn(move || {
        while theirs.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(ask(&mut exchange).unwrap_err().kind(), ErrorKind::TimedOut);
    drop(exchange);
    drip.join().unwrap();
}

#[test]
fn printing_a_request_shows_no_header() {
    let request = Request::get("here", "/a").header("Authorization", "Basic c2VjcmV0");
    assert_eq!(format!("{request:?}"), "GET /a HTTP/1.1");
}

#[test]
fn no_value_adds_a_header_or_a_request() {
    garble::text(|text| {
        let request = Request::get(text, &format!("/images/{text}/json")).header("X", text);
        let mut headers = [httparse::EMPTY_HEADER; 4];
        let mut parsed = httparse::Request::new(&mut headers);
        let head = format!("{}\r\n", request.head);
        let read = parsed.parse(head.as_bytes()).unwrap();
        assert_eq!(read, httparse::Status::Complete(head.len()), "{text:?}");
        assert_eq!(parsed.headers.len(), 2, "{text:?}");
    });
}
