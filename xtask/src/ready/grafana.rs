//! Grafana is ready when a login succeeds, every dashboard of its folder is listed, and every
//! datasource answers.

use std::path::Path;

use serde::Deserialize;

use super::NotReady;
use crate::client::Unanswered;
use crate::client::http::{get, get_json};
use crate::host::followed;
use crate::stack::Stack;
use crate::stack::manifest::Service;
use crate::stack::url::{self, Url};

#[derive(Deserialize)]
struct Uid {
    uid: String,
}

#[derive(Deserialize)]
struct Datasources {
    #[serde(default)]
    datasources: Vec<Uid>,
}

pub(super) fn ask(stack: &Stack, service: &Service, url: &Url) -> Result<(), Unanswered> {
    get(url, "/api/org")?;
    let Some(configuration) = &service.configuration else { return Ok(()) };
    let folder = stack.folder.join(&configuration.folder);
    let listed: Vec<Uid> = get_json(url, "/api/search?type=dash-db&limit=5000")?;
    for Uid { uid } in dashboards(&folder.join("dashboards"))? {
        if listed.iter().all(|listed| listed.uid != uid) {
            return Err(Unanswered::NotYet(format!("it does not list the dashboard `{uid}`")));
        }
    }
    for Uid { uid } in datasources(&folder.join("provisioning/datasources"))? {
        // Asked through Grafana, so with the login that it has for it.
        let query = "api/v1/query?query=1";
        get(url, &format!("/api/datasources/proxy/uid/{}/{query}", url::encode(&uid))).map_err(
            |why| Unanswered::NotYet(format!("its datasource `{uid}` does not answer: {why}")),
        )?;
    }
    Ok(())
}

fn dashboards(folder: &Path) -> Result<Vec<Uid>, Unanswered> {
    let read =
        |path: &std::path::PathBuf| serde_json::from_str(&followed::text(path)?).not_ready(path);
    super::files(folder, "json")?.iter().map(read).collect()
}

fn datasources(folder: &Path) -> Result<Vec<Uid>, Unanswered> {
    let mut all = Vec::new();
    for path in super::files(folder, "yml")? {
        let file: Datasources = yaml_serde::from_str(&followed::text(&path)?).not_ready(&path)?;
        all.extend(file.datasources);
    }
    Ok(all)
}
