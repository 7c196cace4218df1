use super::*;

#[test]
fn a_problem_becomes_a_finding_and_again_a_problem() {
    let problem = Problem::prerequisite("engine.not-running", "no engine").mend("start it");
    let error = anyhow::Error::from(problem).context("asking the engine");
    let finding = Finding::of_error("engine.reachable", &error);
    assert_eq!((finding.id, finding.found.as_str()), ("engine.not-running", "no engine"));
    assert_eq!(finding.mend, "start it".into());
    let again = Problem::from(&finding);
    assert_eq!((again.message.as_str(), again.mend), ("no engine", "start it".into()));
    let other = Finding::of_error("x.y", &anyhow::anyhow!("inner").context("outer"));
    assert_eq!((other.id, other.found.as_str()), ("x.y", "outer: inner"));
}

#[test]
fn no_text_ends_a_workflow_command_or_adds_one() {
    let decoded = |text: &str| {
        let signs = [("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")];
        signs.iter().fold(text.to_owned(), |text, (code, sign)| text.replace(code, sign))
    };
    crate::garble::text(|text| {
        let (data, property) = (workflow_data(text), workflow_property(text));
        assert!(!data.contains(['\n', '\r']) && !property.contains(['\n', '\r', ',', ':']));
        assert_eq!((decoded(&data), decoded(&property)), (text.to_owned(), text.to_owned()));
    });
}

#[test]
fn a_finding_reads_as_a_sentence_and_as_an_annotation() {
    let finding = Finding::error("port.in-use", "port 5432 is taken")
        .about("postgres")
        .mend("stop it")
        .at(".env", Some(3));
    assert_eq!(finding.to_string(), ".env:3: postgres: port 5432 is taken");
    assert_eq!(
        annotation(&finding),
        "::error file=.env,line=3,title=port.in-use::.env:3: postgres: port 5432 is taken → stop it"
    );
}
