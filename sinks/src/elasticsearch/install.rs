//! Puts the templates into the cluster. Only when an operator says so.

use super::assets::{self, For};
use super::config::Options;
use super::{Ask, Elasticsearch, is_page, verdict};
use http::{Method, StatusCode};
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::Response;
use tidegate_core::sink::SinkSettings;
use tidegate_core::source::SettingsError;

/// What became of one asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Where it was put.
    pub path: String,
    /// What happened: `None` where it is in place, else why not.
    pub left: Option<String>,
}

/// Why nothing more was installed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InstallError {
    /// The sink's table is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The cluster refused, or there is none.
    #[error(transparent)]
    Refused(#[from] Fault),
}

/// Installs the index and component templates for the product that answers at the sink's addresses; with `policies`
/// the retention policy too. Templates of the same name are replaced; a policy that is there already is left.
///
/// # Errors
/// The settings are wrong, no cluster answers, or it refuses a template. What was put before stays.
pub async fn install(settings: SinkSettings, policies: bool) -> Result<Vec<Installed>, InstallError> {
    let sink = Elasticsearch::new(Options::read(&settings.table)?, settings.http);
    let flavour = sink.flavour().await.map_err(|error| error.cause().clone())?;
    let product = if flavour.is_elasticsearch() {
        For::Elasticsearch
    } else if flavour.is_opensearch() {
        For::OpenSearch
    } else {
        let fault = Fault::new(FaultKind::Permission, "the cluster does not tell which product it is");
        return Err(fault
            .remedy("grant monitor for the installation, or put the printed assets by hand")
            .into());
    };
    let mut installed = Vec::new();
    for asset in assets::assets(product).into_iter().filter(|asset| policies || !asset.policy) {
        // A policy decides what is deleted: one that an operator has changed is not replaced.
        if asset.policy && there(&sink, &asset.path).await? {
            let left = Some("is there already and was left as it is".to_owned());
            installed.push(Installed { path: asset.path, left });
            continue;
        }
        let ask = Ask {
            method: Method::PUT,
            path: asset.path.clone(),
            content_type: Some("application/json"),
            gzip: false,
            body: asset.body.to_string().into(),
        };
        let response = sink.exchange(&ask).await.map_err(|error| error.cause().clone())?;
        if !response.status.is_success() || is_page(&response) {
            return Err(refused(&sink, &response, &asset.path).into());
        }
        installed.push(Installed { path: asset.path, left: None });
    }
    Ok(installed)
}

async fn there(sink: &Elasticsearch, path: &str) -> Result<bool, Fault> {
    let response = sink.exchange(&Ask::get(path)).await.map_err(|error| error.cause().clone())?;
    match response.status {
        StatusCode::NOT_FOUND => Ok(false),
        status if status.is_success() && !is_page(&response) => Ok(true),
        _ => Err(refused(sink, &response, path)),
    }
}

fn refused(sink: &Elasticsearch, response: &Response, path: &str) -> Fault {
    let refusal = super::bulk::refusal(&response.body);
    let whole = verdict::whole(response.status, &refusal.kind, &refusal.reason, is_page(response));
    let mut fault = sink.whole_error(response, whole).cause().clone();
    fault.message = format!("{path}: {}", fault.message);
    fault
}
