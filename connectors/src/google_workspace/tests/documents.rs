//! Records against documents: nothing is lost, nothing panics.

use super::records::event;
use super::*;
use proptest::prelude::*;
use tidegate_core::json::Tape;
use tidegate_core::schema::{self, Context, Marks};

pub(super) fn context(name: &str) -> Context<'static> {
    Context {
        tenant: "acme",
        organisation: None,
        namespace: "acme",
        names: stream(name).names,
        fetched: at("2026-01-15T10:00:30Z").into(),
        ingested: at("2026-01-15T10:00:31Z").into(),
        id: None,
        original: false,
        as_sent: false,
        marks: Marks::default(),
    }
}

/// The documents of a record in all schemas, the first of each event in ECS; nothing else than JSON may come out.
fn documents(name: &str, record: &[u8]) -> Vec<Json> {
    let mut documents = Vec::new();
    let mut tape = Tape::new();
    let Ok(root) = tape.cut(record) else { return documents };
    let _identity = GoogleWorkspace.identity(stream(name), root);
    let context = context(name);
    let _either = GoogleWorkspace.normalize(stream(name), root, &mut |event, _| {
        let _summary = event.summary();
        for schema in schema::ALL.into_iter().filter(|schema| !schema.is_text()) {
            let mut out = Vec::new();
            schema.render(event, &context, &mut out).unwrap();
            documents.push(serde_json::from_slice::<Json>(&out).unwrap());
        }
    });
    documents
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[\\PC]{0,12}".prop_map(Into::into),
        prop::sample::select(vec![
            "login_success",
            "password",
            "passed",
            "USER_EMAIL",
            "a@example.com",
            "@",
            "2026-01-15T10:00:00Z",
            "CLOSED",
            "192.0.2.1"
        ])
        .prop_map(Into::into),
    ];
    let names = prop::sample::select(vec![
        "id",
        "time",
        "uniqueQualifier",
        "actor",
        "email",
        "profileId",
        "agentAttributionInfo",
        "agentId",
        "ipAddress",
        "networkInfo",
        "ipAsn",
        "events",
        "type",
        "name",
        "status",
        "eventStatus",
        "parameters",
        "value",
        "intValue",
        "boolValue",
        "multiValue",
        "messageValue",
        "alertId",
        "createTime",
        "updateTime",
        "data",
        "loginDetails",
        "affectedUserEmails",
        "metadata",
        "severity",
        "",
        "x y",
    ]);
    leaf.prop_recursive(6, 96, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::vec((names.clone(), inner), 0..7).prop_map(|members| Json::Object(
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn whatever_a_record_holds_becomes_json_and_never_a_panic(
        mut record in any_json(),
        event in any_json(),
        parameters in prop::collection::vec(any_json(), 0..4),
        name in prop::sample::select(vec!["login", "admin", "drive", "saml", "token", "groups", "mobile", "brand_new_application", ALERTS]),
    ) {
        documents(name, record.to_string().as_bytes());
        if let Some(members) = record.as_object_mut() {
            let mut event = event;
            if let Some(event) = event.as_object_mut() {
                event.insert("parameters".to_owned(), parameters.into());
            }
            members.insert("events".to_owned(), json!([event, event]));
            documents(name, record.to_string().as_bytes());
            // Each member twice, first as something else.
            let doubled: String =
                record.as_object().unwrap().keys().map(|key| format!("{}:[7],", Json::from(key.as_str()))).collect();
            let mut twice = record.to_string();
            twice.insert_str(1, &doubled);
            documents(name, twice.as_bytes());
        }
    }
}

#[test]
fn deep_and_cut_records_are_no_trouble() {
    for depth in [50, 120, 5_000] {
        let record = format!("{{\"events\":{}1{}}}", "[{\"parameters\":".repeat(depth), "}]".repeat(depth));
        documents("login", record.as_bytes());
    }
    let whole = event("login", "login", "login_success", json!([{ "name": "login_type", "value": "saml" }]))
        .to_string();
    for cut in 0..whole.len() {
        documents("login", &whole.as_bytes()[..cut]);
    }
    documents(
        "login",
        b"{\"actor\":{\"email\":\"\\ud83d@example.com\"},\"events\":[{\"name\":\"\\u0000\"}]}",
    );
}

#[test]
fn no_form_of_a_value_is_lost_on_the_way_to_a_document() {
    let mut record = event(
        "drive",
        "t-1",
        "n-1",
        json!([
            { "name": "p-1", "value": "v-1" }, { "name": "p-2", "intValue": "-9007199254740993" }, { "name": "p-3", "boolValue": true },
            { "name": "p-4", "multiValue": ["v-4", "v-5"] }, { "name": "p-5", "multiIntValue": ["6000"] },
            { "name": "p-6", "messageValue": { "parameter": [{ "name": "p-7", "value": "v-7" }, { "name": "p-8", "messageValue": { "parameter": [{ "value": "v-8" }] } }] } },
            { "name": "p-9", "multiMessageValue": [{ "parameter": [{ "name": "p-10", "multiBoolValue": [true] }, { "multiValue": ["v-10"] }] }, { "parameter": [{ "multiMessageValue": [{ "parameter": [{ "value": "v-11" }] }] }] }] },
            { "name": "p-12" },
        ]),
    );
    record["resourceDetails"] = json!([{ "id": "r-1", "ownerDetails": { "ownerIdentity": [{ "userIdentity": { "userEmail": "o-1" } }] }, "appliedLabels": [{ "id": "l-1", "fieldValues": [{ "id": "f-1" }] }] }]);
    record["actor"]["applicationInfo"] = json!({ "oauthClientId": "c-1", "impersonation": true });
    record["events"][0]["resourceIds"] = json!(["r-2"]);
    record["aNewMember"] = json!({ "innerMember": "m-1" });
    let document = documents("drive", record.to_string().as_bytes()).remove(0).to_string();
    let words = [
        "p_1",
        "v-1",
        "-9007199254740993",
        "p_3",
        "v-4",
        "v-5",
        "6000",
        "p-7",
        "v-7",
        "p-8",
        "v-8",
        "p-10",
        "v-10",
        "v-11",
        "r-1",
        "o-1",
        "l-1",
        "f-1",
        "c-1",
        "r-2",
        "m-1",
        "t-1",
        "n-1",
        "DE-BE",
        "113316239944706535444",
        "C0example",
    ];
    for word in words {
        assert!(document.contains(&format!("\"{word}\"")), "{word}: {document}");
    }
    let alert = json!({
        "alertId": "a-1", "customerId": "c-1", "type": "t-1", "source": "s-1", "deleted": true, "endTime": "2026-01-15T10:00:00.5Z",
        "data": { "@type": "x-1", "messages": [{ "id": "m-1" }] }, "metadata": { "assignee": "as-1", "customerId": "c-2", "severity": "sv-1" },
    });
    let document = documents(ALERTS, alert.to_string().as_bytes()).remove(0)["google_workspace"].to_string();
    for word in ["a-1", "c-1", "t-1", "s-1", "2026-01-15T10:00:00.500Z", "x-1", "m-1", "as-1", "c-2", "sv-1"]
    {
        assert!(document.contains(&format!("\"{word}\"")), "{word}: {document}");
    }
}
