//! Puts the templates into the cluster. Only when an operator says so.

use super::assets::{self, For};
use super::{Ask, Elasticsearch, is_page, verdict};
use http::{Method, StatusCode};
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::Response;

/// Installs the index and component templates for the product that answers; with `policies` the retention too. Templates of the same name are replaced; a policy that is there already is left. What was put before an error stays.
pub(super) async fn install(sink: &Elasticsearch, policies: bool) -> Result<Vec<String>, Fault> {
    let flavour = sink.flavour().await.map_err(|error| error.cause().clone())?;
    let product = if flavour.is_serverless() {
        For::Serverless
    } else if flavour.is_elasticsearch() {
        For::Elasticsearch
    } else if flavour.is_opensearch() {
        For::OpenSearch
    } else {
        let fault = Fault::new(FaultKind::Permission, "the cluster does not tell which product it is");
        return Err(fault.remedy("grant monitor for the installation, or put the printed assets by hand"));
    };
    let mut lines = Vec::new();
    for asset in assets::assets(product).into_iter().filter(|asset| policies || !asset.policy) {
        // A policy decides what is deleted: one that an operator has changed is not replaced.
        if asset.policy && there(sink, &asset.path).await? {
            lines.push(format!("{} is there already and was left as it is", asset.path));
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
            return Err(refused(sink, &response, &asset.path));
        }
        lines.push(format!("{} installed", asset.path));
    }
    Ok(lines)
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
    if path.starts_with("_plugins/") && refusal.reason.contains("no handler found") {
        let message =
            format!("{path}: this OpenSearch has no Index State Management; the templates are installed");
        let fault = Fault::new(FaultKind::Configuration, message);
        return fault.remedy(
            "install its plugin opensearch-index-management, or delete old backing indices yourself",
        );
    }
    let whole = verdict::whole(response.status, &refusal.kind, &refusal.reason, is_page(response));
    let mut fault = sink.whole_error(response, whole).cause().clone();
    fault.message = format!("{path}: {}", fault.message);
    fault
}
