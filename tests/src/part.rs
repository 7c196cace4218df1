//! One stack of a site: its files and its containers.

use std::fs;
use std::path::PathBuf;

use crate::site::{Site, docker};

pub(crate) const EXAMPLE: &str = ".env.example";

/// One stack of a site.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    site: &'a Site,
    name: &'static str,
}

impl<'a> Part<'a> {
    pub(crate) fn new(site: &'a Site, name: &'static str) -> Self {
        Self { site, name }
    }

    /// The stack's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.site.root().join("infrastructure/docker").join(self.name)
    }

    /// Its `.env`.
    pub fn env_file(&self) -> PathBuf {
        self.folder().join(".env")
    }

    /// Its compose project.
    pub fn project(&self) -> String {
        match self.name {
            "development" => self.site.project().to_owned(),
            name => format!("{}-{name}", self.site.project()),
        }
    }

    /// A value of `.env`.
    pub fn env(&self, name: &str) -> String {
        let text = fs::read_to_string(self.env_file()).expect(".env");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("{name} in .env")).trim_matches('\'').to_owned()
    }

    /// Gives `name` a value in `.env`.
    pub fn set_env(&self, name: &str, value: &str) {
        let text = fs::read_to_string(self.env_file()).expect(".env");
        fs::write(self.env_file(), set(&text, name, value)).expect(".env");
    }

    /// A port as a number.
    pub fn port(&self, name: &str) -> u16 {
        self.env(name).parse().expect("a port")
    }

    /// Every port that its running containers have on this machine.
    pub fn ports(&self) -> Vec<u16> {
        let text = docker(&["ps", "--format", "{{.Ports}}", "--filter", &self.label()]);
        let of_host = |text: &str| text.split_once("->")?.0.rsplit(':').next()?.parse().ok();
        text.split([',', '\n']).filter_map(of_host).collect()
    }

    /// Names and ids of its containers.
    pub fn containers(&self) -> Vec<String> {
        let text = docker(&[
            "ps",
            "--all",
            "--no-trunc",
            "--format",
            "{{.Names}} {{.ID}}",
            "--filter",
            &self.label(),
        ]);
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The id of the container that runs `service`.
    pub fn container(&self, service: &str) -> String {
        let service = format!("label=com.docker.compose.service={service}");
        docker(&["ps", "--quiet", "--no-trunc", "--filter", &self.label(), "--filter", &service])
    }

    fn label(&self) -> String {
        format!("label=com.docker.compose.project={}", self.project())
    }

    /// Takes its containers and networks away.
    pub(crate) fn remove(&self) {
        remove(&self.project());
    }
}

/// A project that a test makes beside its site's; what is left of it goes when this is dropped.
#[derive(Debug)]
pub struct Beside(pub String);

impl Drop for Beside {
    fn drop(&mut self) {
        remove(&self.0);
        docker(&["network", "rm", &format!("{}-metrics", self.0)]);
    }
}

/// Takes the containers, volumes and networks of `project` away.
fn remove(project: &str) {
    let label = format!("label=com.docker.compose.project={project}");
    let helper = format!("label=case-interview.helper={project}");
    let drill = format!("{helper}-drill");
    for filter in [label.clone(), helper, drill.clone()] {
        let ids = docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        let ids: Vec<_> = ids.split_whitespace().collect();
        if !ids.is_empty() {
            docker(&[&["rm", "--force", "--volumes"], ids.as_slice()].concat());
        }
    }
    let volumes = docker(&["volume", "ls", "--quiet", "--filter", &drill]);
    for volume in volumes.split_whitespace() {
        docker(&["volume", "rm", "--force", volume]);
    }
    let networks = docker(&["network", "ls", "--quiet", "--filter", &label]);
    for network in networks.split_whitespace() {
        docker(&["network", "rm", network]);
    }
}

/// `text` of an env file with another value for `name`.
pub(crate) fn set(text: &str, name: &str, value: &str) -> String {
    xtask::stack::dotenv::set(text, name, value).expect("a value for both Composes")
}
