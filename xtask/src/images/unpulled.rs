//! Why an image could not be pulled, and what helps.

use crate::process::ProcessError;
use crate::report::advice::{Advice, Xtask};
use crate::report::finding::Problem;
use crate::stack::Stack;

/// A kind of failure, told by the engine's words.
#[derive(Debug)]
struct Kind {
    id: &'static str,
    /// Any of these, in lower case; `…` is whatever is between.
    words: &'static [&'static str],
    /// What is the matter, after the image's name.
    means: &'static str,
    /// What helps; `{again}`, `{offline}`, `{login}` and `{variable}` are filled in. `{again}` is
    /// the command that failed.
    ways: &'static [&'static str],
}

/// Whether no registry is there at all, so that only images from elsewhere help.
pub const NO_REGISTRY: &str = "images.no-registry";

/// The first that fits counts. What registries refuse comes first, since it names its cause. The
/// words are whole phrases of the engine and of registries: parts of them, such as `not found`, are
/// said of other things too.
const KINDS: [Kind; 10] = [
    Kind {
        id: "images.credentials",
        words: &["error getting credentials"],
        means: "cannot be pulled: the program that keeps Docker's passwords is missing or fails",
        ways: &[
            "mend the program, or remove credsStore and credHelpers from ~/.docker/config.json, then: {again}",
        ],
    },
    Kind {
        id: "images.disk",
        words: &["no space left on device", "disk quota exceeded"],
        means: "cannot be pulled, since the engine's disk is full",
        ways: &[
            "make room where the engine keeps images (docker system df shows what takes it), then: {again}",
        ],
    },
    Kind {
        id: "images.rate-limit",
        words: &["toomanyrequests", "too many requests", "pull rate limit"],
        means: "cannot be pulled now: the registry has counted too many pulls from this address",
        ways: &["{login}, which has a limit of its own, then: {again}", "wait an hour"],
    },
    Kind {
        id: "images.architecture",
        words: &["no matching manifest for", "no match for platform"],
        means: "is in the registry, but not for this engine's processor",
        ways: &[
            "name an image for it in {variable} in .env",
            "have the engine emulate another, as in: DOCKER_DEFAULT_PLATFORM=linux/amd64 {again}",
        ],
    },
    Kind {
        id: "images.login",
        words: &[
            "pull access denied",
            "no basic auth credentials",
            "unauthorized",
            "access to the resource is denied",
            "denied: permission",
            "denied: denied",
            "403 forbidden",
        ],
        means: "cannot be pulled: the registry wants a login for it, or has none of that name",
        ways: &["{login}, then: {again}", "correct {variable} in .env"],
    },
    Kind {
        id: "images.missing",
        words: &[
            "manifest unknown",
            "manifest for … not found",
            "name unknown",
            "failed to resolve reference … not found",
        ],
        means: "is not in the registry",
        ways: &[
            "correct the name or the tag in {variable} in .env",
            "let the registry's mirror catch up, then: {again}",
        ],
    },
    Kind {
        id: "images.proxy",
        words: &["get \"https://…\": forbidden", "proxy authentication required"],
        means: "cannot be pulled: the proxy between the engine and the registry refuses it",
        ways: &[
            "have the proxy let the engine through, or name another one (docs.docker.com/engine/daemon/proxy), then: {again}",
            "build images from Debian's packages: {offline}",
        ],
    },
    Kind {
        id: "images.certificate",
        words: &[
            "x509:",
            "certificate signed by unknown",
            "server gave http response to https client",
        ],
        means: "cannot be pulled: the engine does not trust the registry's certificate, or a proxy's before it",
        ways: &[
            "give the engine the certificate (/etc/docker/certs.d/REGISTRY/ca.crt), then: {again}",
        ],
    },
    Kind {
        id: "images.cut-off",
        words: &[
            "unexpected eof",
            "connection reset by peer",
            "received unexpected http status: 5",
            "filesystem layer verification failed",
            "error pulling image configuration",
        ],
        means: "did not come whole: the registry broke off while it sent it",
        ways: &["{again}, which fetches what is missing; the layers that came whole stay"],
    },
    Kind {
        id: NO_REGISTRY,
        words: &[
            "no such host",
            "dial tcp",
            "client.timeout",
            "connection refused",
            "network is unreachable",
            "tls handshake timeout",
            "proxyconnect",
            "i/o timeout",
            "server misbehaving",
        ],
        means: "is missing here and cannot be pulled: no registry can be reached",
        ways: &[
            "connect to a network with a registry",
            "build images from Debian's packages: {offline}",
        ],
    },
];

/// An image that could not be pulled, for a reason that is known.
#[derive(Debug)]
pub struct Unpulled {
    image: String,
    kind: &'static Kind,
    /// The engine's own words.
    said: String,
}

impl std::fmt::Display for Unpulled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.image, self.kind.means, self.said)
    }
}

impl Kind {
    fn fits(&self, said: &str) -> bool {
        let has = |words: &&str| {
            let mut parts = words.split('…').map(str::trim);
            parts.try_fold(said, |rest, part| Some(rest.split_once(part)?.1)).is_some()
        };
        self.words.iter().any(has)
    }
}

impl Unpulled {
    /// What `error` of a pull comes from, where that is known.
    pub fn of(error: &anyhow::Error) -> Option<Self> {
        let failed = error.chain().find_map(|cause| cause.downcast_ref::<ProcessError>())?;
        let image = failed.command.strip_prefix("docker pull ")?.to_owned();
        let said = failed.stderr.lines().last()?.trim();
        let said = said.trim_start_matches("Error response from daemon: ").to_owned();
        let lower = said.to_lowercase();
        Some(Self { image, kind: KINDS.iter().find(|kind| kind.fits(&lower))?, said })
    }

    /// What ends a command that needs the image for `stack`; `again` is that command.
    pub(super) fn problem(&self, stack: &Stack, again: &Xtask) -> Problem {
        let of_image = |service: &&_| stack.image(service).is_ok_and(|image| image == self.image);
        let service = stack.definition.services.iter().find(of_image);
        let variable = service.and_then(|one| stack.compose.image_variable(&one.name).ok());
        let filled = |way: &&str| {
            way.replace("{offline}", &Xtask::UpOffline(stack.on()).to_string())
                .replace("{again}", &again.to_string())
                .replace("{login}", &self.login())
                .replace("{variable}", variable.unwrap_or("its variable"))
        };
        let advice = self.kind.ways.iter().map(filled).fold(Advice::none(), Advice::or);
        Problem::prerequisite(self.kind.id, self.to_string()).mend(advice)
    }

    /// How to log in to the registry that the image's name begins with, or else to Docker Hub.
    fn login(&self) -> String {
        let host = self.image.split_once('/').map_or("", |(host, _)| host);
        let is_host = host.contains(['.', ':']) || host == "localhost";
        if is_host { format!("docker login {host}") } else { "docker login".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Failure;

    fn kind(said: &str) -> Option<&'static str> {
        let error = ProcessError {
            command: "docker pull redis:6-alpine".to_owned(),
            failure: Failure::Status(Some(1)),
            stderr: format!("6-alpine: Pulling from library/redis\n{said}\n"),
        };
        Unpulled::of(&error.into()).map(|found| found.kind.id)
    }

    #[test]
    fn the_words_of_engines_and_registries_are_told_apart() {
        let rows = [
            (
                "Error response from daemon: Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
                "images.no-registry",
            ),
            (
                "Error response from daemon: Get \"https://registry-1.docker.io/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
                "images.no-registry",
            ),
            (
                "Error response from daemon: manifest for redis:6-alpine not found: manifest unknown: manifest unknown",
                "images.missing",
            ),
            (
                "Error response from daemon: pull access denied for redis, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                "images.login",
            ),
            (
                "Error response from daemon: Head \"https://gcr.io/v2/cadvisor/cadvisor/manifests/v0.47.2\": no basic auth credentials",
                "images.login",
            ),
            (
                "Error response from daemon: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
                "images.rate-limit",
            ),
            (
                "no matching manifest for linux/amd64 in the manifest list entries",
                "images.architecture",
            ),
            (
                "failed to register layer: Error processing tar file(exit status 1): write /usr/bin/x: no space left on device",
                "images.disk",
            ),
            ("write /var/lib/docker/tmp/GetImageBlob123: no space left on device", "images.disk"),
            (
                "Error response from daemon: Get \"https://registry-1.docker.io/v2/\": x509: certificate signed by unknown authority",
                "images.certificate",
            ),
            (
                "Error response from daemon: repository supabase/postgress not found: does not exist or no pull access: pull access denied",
                "images.login",
            ),
            (
                "Error response from daemon: failed to resolve reference \"docker.io/library/redis:nope\": docker.io/library/redis:nope: not found",
                "images.missing",
            ),
            (
                "Error response from daemon: name unknown: The repository with name 'x' does not exist in the registry",
                "images.missing",
            ),
            (
                "error getting credentials - err: exec: \"docker-credential-desktop\": executable file not found in $PATH, out: ``",
                "images.credentials",
            ),
            (
                "Error response from daemon: Get \"https://registry-1.docker.io/v2/\": Forbidden",
                "images.proxy",
            ),
            (
                "Error response from daemon: Get \"https://registry-1.docker.io/v2/\": Proxy Authentication Required",
                "images.proxy",
            ),
            (
                "Error response from daemon: unexpected status from HEAD request to https://ghcr.io/v2/a/b/manifests/1: 403 Forbidden",
                "images.login",
            ),
            (
                "Error response from daemon: Head \"https://ghcr.io/v2/a/b/manifests/1\": unauthorized: authentication required",
                "images.login",
            ),
            ("Error response from daemon: unauthorized", "images.login"),
            ("unexpected EOF", "images.cut-off"),
            ("received unexpected HTTP status: 502 Bad Gateway", "images.cut-off"),
        ];
        for (said, expected) in rows {
            assert_eq!(kind(said), Some(expected), "{said}");
        }
        for said in ["something new", "exec: \"runc\": executable file not found in $PATH"] {
            assert_eq!(kind(said), None, "{said}");
        }
    }

    #[test]
    fn a_login_names_the_registry_of_the_image() {
        let login = |image: &str| {
            Unpulled { image: image.to_owned(), kind: &KINDS[0], said: String::new() }.login()
        };
        assert_eq!(login("gcr.io/cadvisor/cadvisor:v0.47.2"), "docker login gcr.io");
        assert_eq!(login("supabase/postgres:14.1.0"), "docker login");
        assert_eq!(login("redis:6-alpine"), "docker login");
    }
}
