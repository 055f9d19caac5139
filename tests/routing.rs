//! Which documents go where, under which name and with which credential: by tenant, connector and stream.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use bytes::Bytes;
use http::Request;
use std::collections::BTreeSet;
use std::sync::Arc;
use tempfile::TempDir;
use tidegate::config::Config;
use tidegate::world::{OpenSink, World};
use tidegate_core::testkit::script::{Reply, Script};
use tidegate_core::testkit::sink::{self as kit, NAMES};

const OURS: &str = "shared-key-of-all-tenants";
const THEIRS: &str = "key-of-northwind-alone";

struct Scene {
    world: World,
    config: Config,
    far: Script,
    dir: TempDir,
}

impl Scene {
    /// Three tenants with one source each; everything goes out to one far side, which takes every document.
    fn new(sinks: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (file, secret) in [("ours", OURS), ("theirs", THEIRS)] {
            std::fs::write(dir.path().join(file), secret).unwrap();
        }
        let mut text = sinks.to_owned();
        for tenant in ["acme", "globex", "northwind"] {
            text.push_str(&format!(
                "\n[tenant.{tenant}.source.okta]\nconnector = \"okta\"\nurl = \"https://{tenant}.okta.com\"\n\
                 auth = {{ token = \"file:DIR/ours\" }}\n"
            ));
        }
        let path = dir.path().join("pipeline.toml");
        std::fs::write(&path, text.replace("DIR", &dir.path().display().to_string())).unwrap();
        let far = Script::start();
        far.answer(|request, _| {
            if !request.uri().path().ends_with("/_bulk") {
                return Ok(Reply::json(200, r#"{"version":{"number":"9.1.0"}}"#));
            }
            let documents = request.body().iter().filter(|byte| **byte == b'\n').count() / 2;
            let items = vec![r#"{"create":{"status":201}}"#; documents].join(",");
            Ok(Reply::json(200, format!(r#"{{"errors":false,"items":[{items}]}}"#)))
        });
        let world = World::new(&[]).within(Arc::new(far.clone()), far.clock().clone());
        Self { config: world.load(&path).unwrap(), world, far, dir }
    }

    fn sink(&self, tenant: &str, key: &str) -> OpenSink {
        let sinks = self.world.sinks(&self.config, tenant).unwrap();
        sinks.into_iter().find(|sink| sink.key == key).unwrap()
    }

    /// Delivers a document of each tenant; every request that went out.
    async fn deliver(&self, key: &str) -> Vec<Request<Bytes>> {
        for tenant in self.config.tenants.keys() {
            let sink = self.sink(tenant, key).sink;
            let batch = kit::batch(&*sink, &NAMES, &kit::invented(1));
            assert_eq!(sink.deliver(&batch).await.unwrap().delivered, 1, "{tenant}");
        }
        self.far.requests()
    }
}

fn header(request: &Request<Bytes>) -> &str {
    request.headers().get("authorization").map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_tenants_token_goes_to_its_own_address_and_nobody_elses_does() {
    let scene = Scene::new(
        "[sink.elastic]\nkind = \"elasticsearch\"\nurls = [\"https://es.example.com\"]\nbearer = \"file:DIR/ours\"\n\
         gzip = false\n\
         [tenant.northwind.sink.elastic]\nurls = [\"https://es.northwind.example.com\"]\nbearer = \"file:DIR/theirs\"\n",
    );
    let requests = scene.deliver("elastic").await;
    assert!(requests.len() >= 3, "{requests:?}");
    let mut seen = BTreeSet::new();
    for request in &requests {
        seen.insert((request.uri().host().unwrap().to_owned(), header(request).to_owned()));
    }
    let expected = [
        ("es.example.com".to_owned(), format!("Bearer {OURS}")),
        ("es.northwind.example.com".to_owned(), format!("Bearer {THEIRS}")),
    ];
    assert_eq!(seen, BTreeSet::from(expected));
    // Nor does what is shown of the configuration have either.
    for tenant in scene.config.tenants.keys() {
        let shown = format!("{:?}", scene.config.shown(tenant).unwrap());
        assert!(!shown.contains(OURS) && !shown.contains(THEIRS), "{tenant}");
    }
}

#[tokio::test]
async fn the_name_of_the_data_stream_carries_the_tenant_or_its_variable() {
    let scene = Scene::new(
        "[sink.elastic]\nkind = \"elasticsearch\"\nurls = [\"https://es.example.com\"]\nnamespace = \"{tenant}_{var.env}\"\n\
         gzip = false\n[tenant.acme.var]\nenv = \"prod\"\n[tenant.globex.var]\nenv = \"lab\"\n\
         [tenant.northwind.var]\nenv = \"prod\"\n",
    );
    let requests = scene.deliver("elastic").await;
    let bulks = requests.iter().filter(|request| request.uri().path().ends_with("/_bulk"));
    let indices: Vec<String> = bulks
        .map(|request| {
            let line = request.body().split(|byte| *byte == b'\n').next().unwrap();
            let action: serde_json::Value = serde_json::from_slice(line).unwrap();
            action["create"]["_index"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        indices,
        ["logs-okta.system-acme_prod", "logs-okta.system-globex_lab", "logs-okta.system-northwind_prod"]
    );
}

#[tokio::test]
async fn a_directory_may_carry_the_tenant() {
    let scene = Scene::new("[sink.files]\nkind = \"file\"\ndir = \"DIR/out/{tenant}\"\n");
    scene.deliver("files").await;
    for tenant in ["acme", "globex", "northwind"] {
        assert!(scene.dir.path().join("out").join(tenant).is_dir(), "{tenant}");
    }
}

#[test]
fn a_sink_that_leaves_a_tenant_out_is_not_opened_for_it() {
    let scene = Scene::new(
        "[sink.elastic]\nkind = \"elasticsearch\"\nurls = [\"https://es.example.com\"]\n\
         tenants = [\"*\", \"!northwind\"]\n[sink.files]\nkind = \"file\"\ndir = \"DIR/out\"\n",
    );
    let sinks = |tenant: &str| -> Vec<String> {
        scene.world.sinks(&scene.config, tenant).unwrap().into_iter().map(|sink| sink.key).collect()
    };
    assert_eq!(sinks("acme"), ["elastic", "files"]);
    assert_eq!(sinks("northwind"), ["files"]);
}
