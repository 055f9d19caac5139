//! The `source` table, streams by name, budgets.

use super::*;

#[tokio::test(start_paused = true)]
async fn wrong_keys_are_named_with_what_is_accepted() {
    let (key, script) = (Key::new(), Script::start());
    let auth = |more: Json| {
        let mut auth = json!({ "service_account": key.reference(), "subject": SUBJECT });
        for (name, value) in more.as_object().unwrap() {
            auth[name] = value.clone();
        }
        json!({ "auth": auth })
    };
    let table = |more: Json| Json::Object(key.table(more));
    for (value, at, says) in [
        (json!({}), "auth", "service_account"),
        (json!({ "auth": "hunter2" }), "auth", "not a table"),
        (json!({ "auth": { "service_account": key.reference() } }), "auth.subject", "admin@example.com"),
        (json!({ "auth": { "subject": SUBJECT } }), "auth.service_account", "file:PATH"),
        (auth(json!({ "subject": "admin" })), "auth.subject", "admin@example.com"),
        (auth(json!({ "subject": "a b@example.com" })), "auth.subject", "admin@example.com"),
        (auth(json!({ "subject": 7 })), "auth.subject", "string"),
        (auth(json!({ "service_account": "hunter2" })), "auth.service_account", "env:NAME"),
        (auth(json!({ "service_account": { "type": "hunter2" } })), "auth.service_account", "env:NAME"),
        (auth(json!({ "service_account": "env:TIDEGATE_NO_SUCH" })), "auth.service_account", "not set"),
        (auth(json!({ "token": "x" })), "auth.token", "expected"),
        (table(json!({ "customer_id": "03az" })), "customer_id", "C03az79cb"),
        (table(json!({ "customer_id": "C" })), "customer_id", "my_customer"),
        (table(json!({ "customer_id": "C0/../x" })), "customer_id", "C03az79cb"),
        (table(json!({ "user_key": "pat" })), "user_key", "primary address"),
        (table(json!({ "user_key": ".." })), "user_key", "primary address"),
        (table(json!({ "user_key": "" })), "user_key", "all"),
        (table(json!({ "event_name": " " })), "event_name", "login_success"),
        (table(json!({ "org_unit_id": "03ph8a2z1" })), "org_unit_id", "id:03ph8a2z1enx4lx"),
        (table(json!({ "limit": 0 })), "limit", "1 to 1000"),
        (table(json!({ "limit": 1001 })), "limit", "1 to 1000"),
        (table(json!({ "limit": "many" })), "limit", "invalid type"),
        (table(json!({ "url": "http://admin.googleapis.com" })), "url", "unencrypted"),
        (table(json!({ "url": "https://admin.googleapis.com/admin" })), "url", "has a path"),
        (table(json!({ "alerts_url": "ftp://x" })), "alerts_url", "https"),
        (table(json!({ "token_url": "http://example.com/token" })), "token_url", "unencrypted"),
        (table(json!({ "token_url": "https://u:hunter2@example.com/token" })), "token_url", "names a user"),
        (table(json!({ "token_url": "https://example.com/token?x=1" })), "token_url", "has a query"),
        (table(json!({ "token_url": "example.com" })), "token_url", "https://oauth2.googleapis.com/token"),
        (table(json!({ "custmer_id": "C0example" })), "custmer_id", "expected one of"),
    ] {
        let Json::Object(map) = value.clone() else { unreachable!() };
        let error = open(script.client(), map).err().unwrap_or_else(|| panic!("accepted: {value}"));
        assert_eq!(error.key, at, "{value}: {error}");
        assert!(error.message.contains(says), "{value}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn good_keys_are_accepted() {
    let (key, script) = (Key::new(), Script::start());
    for more in [
        json!({}),
        json!({ "customer_id": "my_customer", "user_key": "all", "url": "http://[::1]:9000" }),
        json!({ "customer_id": "C03az79cb", "user_key": "113316239944706535444" }),
        json!({ "user_key": "pat@example.com", "event_name": "2sv_disable", "org_unit_id": "id:03ph8a2z1enx4lx", "limit": 1 }),
        json!({ "alerts_url": "https://alertcenter.example.com", "token_url": "https://oauth2.example.com/v2/token" }),
    ] {
        let error = open(script.client(), key.table(more.clone())).err();
        assert!(error.is_none(), "{more}: {error:?}");
    }
}

#[test]
fn the_organisation_is_the_customer_or_the_administrators_domain() {
    let key = Key::new();
    let organisation = |more: Json| GoogleWorkspace.organisation(&key.table(more)).unwrap();
    assert_eq!(organisation(json!({})), "example.com");
    assert_eq!(organisation(json!({ "customer_id": "my_customer" })), "example.com");
    assert_eq!(organisation(json!({ "customer_id": "C03az79cb" })), "C03az79cb");
    assert_eq!(organisation(json!({ "url": "http://127.0.0.1:9000" })), "example.com");
    assert_eq!(
        organisation(
            json!({ "auth": { "service_account": key.reference(), "subject": "Admin@EXAMPLE.org" } })
        ),
        "example.org"
    );
    assert!(GoogleWorkspace.organisation(&Map::new()).is_err());
}

#[test]
fn budgets_are_those_of_the_account_as_the_administrator() {
    let key = Key::new();
    let buckets = |more: Json| {
        let buckets = GoogleWorkspace.buckets(&key.table(more)).unwrap();
        assert!(
            buckets.iter().all(|bucket| bucket.scope == format!("{ACCOUNT} as {SUBJECT}")),
            "{buckets:?}"
        );
        buckets
            .iter()
            .map(|bucket| {
                (bucket.name, bucket.budget.limit, (bucket.streams)("login"), (bucket.streams)(ALERTS))
            })
            .collect::<Vec<_>>()
    };
    let plain = [("queries", 2400, true, false), ("alerts", 60, false, true)];
    assert_eq!(buckets(json!({})), plain);
    assert_eq!(buckets(json!({ "user_key": "all", "customer_id": "C0example" })), plain);
    for filter in [
        json!({ "user_key": "pat@example.com" }),
        json!({ "event_name": "login_failure" }),
        json!({ "org_unit_id": "id:03ph8a2z1" }),
    ] {
        let filtered = buckets(filter);
        assert_eq!(filtered[0], ("filtered queries", 250, true, false), "the narrowest first");
        assert_eq!(filtered[1..], plain);
    }
    // A file that is not there yet stops nothing.
    std::fs::remove_file(key.path()).unwrap();
    let scope = GoogleWorkspace.buckets(&key.table(json!({}))).unwrap().remove(0).scope;
    assert!(scope.starts_with("file:") && scope.ends_with(&format!("as {SUBJECT}")), "{scope}");
}

#[test]
fn any_name_of_an_application_makes_one_stream() {
    assert_eq!(STREAMS.len(), 43, "42 applications and the alerts");
    let on: Vec<_> = STREAMS.iter().filter(|stream| stream.default).map(|stream| stream.name).collect();
    assert_eq!(on, ["admin", "drive", "groups_enterprise", "login", "saml", "token", "user_accounts"]);
    assert!(STREAMS.is_sorted_by_key(|stream| stream.name));
    for stream in STREAMS {
        assert!(std::ptr::eq(stream, super::stream(stream.name)));
    }
    let new = stream("quantum_sheets");
    assert_eq!(
        (new.names.dataset, new.names.sourcetype),
        ("google_workspace.quantum_sheets", "gws:reports:quantum_sheets")
    );
    assert!(!new.default);
    assert!(std::ptr::eq(new, stream("quantum_sheets")), "made once");
    let long = "a".repeat(65);
    for name in ["", "_x", "Login", "log-in", "log in", "login2", "a/b", "ä", long.as_str()] {
        assert!(GoogleWorkspace.stream(name).is_none(), "{name}");
    }
}

#[test]
fn data_sets_have_the_names_that_content_asks_for() {
    for (name, dataset, sourcetype) in [
        ("login", "google_workspace.login", "gws:reports:login"),
        ("groups_enterprise", "google_workspace.group_enterprise", "gws:reports:groups_enterprise"),
        ("mobile", "google_workspace.device", "gws:reports:mobile"),
        ("alerts", "google_workspace.alert", "gws:alerts"),
    ] {
        let names = stream(name).names;
        assert_eq!(
            (names.dataset, names.sourcetype, names.namespace),
            (dataset, sourcetype, "google_workspace")
        );
    }
}

#[test]
fn the_readme_lists_every_key_and_every_known_stream() {
    let readme = include_str!("../README.md");
    let schema = GoogleWorkspace.schema().to_value();
    let config = schema["properties"].as_object().unwrap().keys().cloned();
    let auth = schema["$defs"]["AuthConfig"]["properties"].as_object().unwrap();
    let auth = auth.keys().map(|key| format!("auth.{key}"));
    for key in config.chain(auth).filter(|key| key != "auth") {
        assert!(readme.contains(&format!("| `{key}` |")), "{key}");
    }
    for stream in STREAMS {
        assert!(readme.contains(&format!("`{}`", stream.name)), "{}", stream.name);
    }
}
