//! ECS documents of Google's records.

use super::records::{activity, event};
use super::*;
use crate::documents::{Vendor, agree, at as value_at, leaves, samples, shared, valid};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const VENDOR: Vendor = Vendor {
    connector: &GoogleWorkspace,
    fields: include_str!("../../../../sinks/src/elasticsearch/fields/google_workspace.txt"),
};

fn said(document: &Json, wants: &[(&str, Json)]) {
    for (path, want) in wants {
        assert_eq!(&value_at(document, path), want, "{path}: {document}");
    }
}

/// Parameters as name and value; the form is the value's.
fn parameters(values: Json) -> Json {
    let members = values.as_object().unwrap().iter();
    let all: Vec<Json> = members
        .map(|(name, value)| {
            let form = match value {
                Json::Bool(_) => "boolValue",
                Json::Number(_) => "intValue",
                Json::Array(_) => "multiValue",
                Json::Object(_) => "messageValue",
                _ => "value",
            };
            let value = if value.is_number() { value.to_string().into() } else { value.clone() };
            json!({ "name": name, form: value })
        })
        .collect();
    all.into()
}

/// A record with one event; its stream is the application.
fn record(application: &str, kind: &str, name: &str, values: Json) -> (String, Json) {
    (application.to_owned(), event(application, kind, name, parameters(values)))
}

fn alert() -> Json {
    json!({
        "alertId": "a1b2c3d4-0000-4000-8000-000000000001", "customerId": "0example", "createTime": "2026-01-15T10:00:00.5Z",
        "startTime": "2026-01-15T09:58:00Z", "updateTime": "2026-01-15T10:01:00Z", "type": "Suspicious login", "source": "Google identity",
        "data": {
            "@type": "type.googleapis.com/google.apps.alertcenter.type.AccountWarning", "email": "kim@example.com",
            "loginDetails": { "loginTime": "2026-01-15T09:58:00Z", "ipAddress": "198.51.100.7" },
            "ruleViolationInfo": { "dataSource": "DRIVE", "matchInfo": [{ "predefinedDetector": { "detectorName": "IBAN" } }], "trigger": "DRIVE_SHARE", "triggeringUserEmail": "kim@example.com" }
        },
        "metadata": { "alertId": "a1b2c3d4-0000-4000-8000-000000000001", "customerId": "0example", "status": "NOT_STARTED", "severity": "HIGH", "etag": "e2" },
        "securityInvestigationToolLink": "https://admin.google.com/ac/sc/investigation", "deleted": false, "etag": "e1"
    })
}

/// Records that rules look for, and one of each application that has a table of its own.
fn fixtures() -> Vec<(String, Json)> {
    let setting = |name: &str, values: Json| record("admin", "APPLICATION_SETTINGS", name, values);
    let user = |name: &str, values: Json| record("admin", "USER_SETTINGS", name, values);
    let mut anonymous = record(
        "drive",
        "access",
        "view",
        json!({
            "doc_id": "d-1", "doc_title": "backup.pem", "doc_type": "unknown", "owner": "kim@example.com", "visibility": "people_with_link",
            "primary_event": true, "billable": true, "owner_is_team_drive": false, "owner_is_shared_drive": false
        }),
    );
    anonymous.1["actor"] = json!({ "callerType": "USER", "email": "", "profileId": "105250506097979753968" });
    vec![
        anonymous,
        record(
            "drive",
            "access",
            "copy",
            json!({ "copy_type": "external", "doc_type": "script", "owner_is_team_drive": false, "doc_title": "Budget" }),
        ),
        setting(
            "CREATE_DATA_TRANSFER_REQUEST",
            json!({ "APPLICATION_NAME": "Drive and Docs", "USER_EMAIL": "kim@example.com" }),
        ),
        setting(
            "CHANGE_APPLICATION_SETTING",
            json!({
                "SETTING_NAME": "EMAIL_ROUTE", "SETTING_METADATA": { "parameter": [{ "name": "rule_type", "value": "EMAIL_ROUTE" }, { "name": "rule_key", "value": "r-1" }, { "name": "DESCRIPTION", "value": "to archive" }] },
            }),
        ),
        setting(
            "CHANGE_APPLICATION_SETTING",
            json!({
                "APPLICATION_NAME": "Google Workspace Marketplace", "SETTING_NAME": "Apps Access Setting Allowlist access", "NEW_VALUE": "ALLOW_ALL", "ORG_UNIT_NAME": "example.com"
            }),
        ),
        setting(
            "CHANGE_APPLICATION_SETTING",
            json!({
                "APPLICATION_NAME": "Google Workspace Marketplace", "OLD_VALUE": "{ app: 7, allowed: false }",
                "NEW_VALUE": "{ app: 7, allowed: true }"
            }),
        ),
        setting(
            "CHANGE_APPLICATION_SETTING",
            json!({ "SETTING_NAME": "BitLocker drive encryption", "NEW_VALUE": "Disabled" }),
        ),
        setting(
            "CHANGE_APPLICATION_SETTING",
            json!({ "SETTING_NAME": "Password Management - Minimum password length", "NEW_VALUE": "4" }),
        ),
        record(
            "admin",
            "SECURITY_SETTINGS",
            "ENFORCE_STRONG_AUTHENTICATION",
            json!({ "NEW_VALUE": "false" }),
        ),
        record(
            "admin",
            "DELEGATED_ADMIN_SETTINGS",
            "ASSIGN_ROLE",
            json!({ "ROLE_NAME": "_USER_MANAGEMENT_ADMIN_ROLE", "USER_EMAIL": "kim@example.com" }),
        ),
        record(
            "admin",
            "DELEGATED_ADMIN_SETTINGS",
            "ADD_PRIVILEGE",
            json!({ "ROLE_NAME": "Helpdesk", "PRIVILEGE_NAME": "USERS_RESET_PASSWORD" }),
        ),
        record(
            "admin",
            "GROUP_SETTINGS",
            "ADD_GROUP_MEMBER",
            json!({ "GROUP_EMAIL": "ops@example.com", "USER_EMAIL": "kim@example.net" }),
        ),
        user("UNSUSPEND_USER", json!({ "USER_EMAIL": "kim@example.com", "BIRTHDATE": "1990-04-01" })),
        record(
            "token",
            "auth",
            "authorize",
            json!({
                "client_id": "77185425430.apps.googleusercontent.com", "client_type": "NATIVE_DESKTOP", "app_name": "Calendar Helper", "scope": ["openid", "https://www.googleapis.com/auth/userinfo.email"], "num_response_bytes": 12
            }),
        ),
        record(
            "login",
            "login",
            "login_success",
            json!({
                "login_type": "google_password", "login_challenge_method": ["password", "google_prompt"], "is_suspicious": true, "login_timestamp": 1_768_471_199_123_456_i64
            }),
        ),
        record("user_accounts", "2sv_change", "2sv_disable", json!({})),
        record(
            "mobile",
            "device_updates",
            "DEVICE_REGISTER_UNREGISTER_EVENT",
            json!({
                "ACCOUNT_STATE": "REGISTERED", "DEVICE_ID": "dev-1", "DEVICE_MODEL": "Pixel 11", "DEVICE_TYPE": "ANDROID", "OS_VERSION": "Android 17", "RESOURCE_ID": "res-1", "FAILED_PASSWD_ATTEMPTS": 3, "USER_EMAIL": "kim@example.com"
            }),
        ),
        record(
            "groups",
            "acl_change",
            "change_acl_permission",
            json!({ "group_email": "ops@example.com", "acl_permission": "can_view_topics", "new_value": ["owner"] }),
        ),
        record(
            "groups_enterprise",
            "moderator_action",
            "add_user",
            json!({ "group_id": "ops@example.com", "member_id": "kim@example.com", "member_role": "member", "membership_expiry": 1_768_471_200_000_i64 }),
        ),
        record(
            "saml",
            "login",
            "login_failure",
            json!({ "application_name": "Wiki", "failure_type": "failure_unknown", "saml_status_code": "RESPONDER_URI", "orgunit_path": "/staff" }),
        ),
        record(
            "rules",
            "rule_match_type",
            "rule_match",
            json!({ "rule_name": "IBAN", "rule_id": "r-1", "has_alert": true, "rule_update_time_usec": 1_768_471_200_000_000_i64, "severity": "HIGH" }),
        ),
        record(
            "context_aware_access",
            "CONTEXT_AWARE_ACCESS_USER_EVENT",
            "ACCESS_DENY_EVENT",
            json!({ "CAA_APPLICATION": "GMAIL", "CAA_ACCESS_LEVEL_APPLIED": ["managed"], "CAA_DEVICE_STATE": "Normal" }),
        ),
        record(
            "access_transparency",
            "GSUITE_RESOURCE",
            "ACCESS",
            json!({ "ACTOR_HOME_OFFICE": "DE", "JUSTIFICATIONS": ["Customer Initiated Support"], "TICKETS": ["t-1"] }),
        ),
        record(
            "gmail",
            "delivery_type",
            "delivery",
            json!({ "event_info": { "parameter": [{ "name": "mail_event_type", "intValue": "1" }, { "name": "client_context", "messageValue": { "parameter": [{ "name": "client_type", "value": "WEB" }] } }] }, "Odd Name": "x" }),
        ),
        record(
            "keep",
            "user_action",
            "deleted_note",
            json!({ "note_name": "https://keep.example.com/n/1", "keep_owner": "kim@example.com" }),
        ),
        (ALERTS.to_owned(), alert()),
    ]
}

#[test]
fn parameters_are_fields_under_the_applications_name() {
    let (stream, sign_in) = record(
        "login",
        "login",
        "login_success",
        json!({
            "login_type": "google_password", "login_challenge_method": ["password", "google_prompt"], "is_suspicious": false,
            "login_timestamp": 1_768_471_199_123_456_i64, "something_new": true, "login_newer": ["a", "b"]
        }),
    );
    said(
        &VENDOR.document(&stream, &sign_in),
        &[
            ("data_stream.dataset", json!("google_workspace.login")),
            ("event.action", json!("login_success")),
            ("event.provider", json!("login")),
            ("event.id", json!("-4611686018427387904")),
            ("event.start", json!("2026-01-15T09:59:59.123456Z")),
            ("event.category", json!(["authentication", "session"])),
            ("organization.id", json!("C0example")),
            ("user.email", json!("pat.doe@example.com")),
            ("user.domain", json!("example.com")),
            (
                "source.user",
                json!({ "id": "113316239944706535444", "name": "pat.doe", "email": "pat.doe@example.com", "domain": "example.com" }),
            ),
            (
                "google_workspace.login",
                json!({
                    "type": "google_password", "challenge_method": ["password", "google_prompt"], "is_suspicious": false, "timestamp": 1_768_471_199_123_456_i64,
                    "something_new": "true", "newer": ["a", "b"]
                }),
            ),
            ("google_workspace.event", json!({ "type": "login", "name": "login_success" })),
            (
                "google_workspace.actor",
                json!({ "type": "USER", "email": "pat.doe@example.com", "profile": { "id": "113316239944706535444" } }),
            ),
            (
                "google_workspace.id",
                json!({
                    "time": "2026-01-15T10:00:00.123Z", "unique_qualifier": "-4611686018427387904", "application_name": "login", "customer": { "id": "C0example" }
                }),
            ),
            ("google_workspace.unmapped", Json::Null),
        ],
    );
    let found = |application: &str| {
        let all = fixtures();
        let (stream, record) = all.iter().find(|(stream, _)| stream == application).unwrap();
        VENDOR.document(stream, record)
    };
    said(
        &found("groups_enterprise"),
        &[
            ("data_stream.dataset", json!("google_workspace.group_enterprise")),
            ("event.provider", json!("groups_enterprise")),
            (
                "google_workspace.group_enterprise",
                json!({
                    "group": { "id": "ops@example.com" }, "member": { "id": "kim@example.com", "role": "member" }, "membership_expiry": "2026-01-15T10:00:00.000Z"
                }),
            ),
            ("user.target.group", json!({ "name": "ops", "domain": "example.com" })),
        ],
    );
    said(
        &found("mobile"),
        &[
            ("data_stream.dataset", json!("google_workspace.device")),
            ("google_workspace.device.account_state", json!("REGISTERED")),
            ("google_workspace.device.os.version", json!("Android 17")),
            ("host.os.version", json!("Android 17")),
        ],
    );
    said(
        &found("gmail"),
        &[
            ("data_stream.dataset", json!("google_workspace.gmail")),
            (
                "google_workspace.gmail",
                json!({ "event_info": { "mail_event_type": "1", "client_context": { "client_type": "WEB" } }, "odd_name": "x" }),
            ),
        ],
    );
    said(
        &found("keep"),
        &[(
            "google_workspace.keep",
            json!({ "note_name": "https://keep.example.com/n/1", "owner": "kim@example.com" }),
        )],
    );
    said(
        &found("drive"),
        &[
            ("file", json!({ "name": "backup.pem", "extension": "pem", "type": "file", "owner": "kim" })),
            (
                "google_workspace.drive.file",
                json!({ "id": "d-1", "type": "unknown", "owner": { "email": "kim@example.com", "is_shared_drive": false } }),
            ),
            ("google_workspace.drive.owner_is_team_drive", json!(false)),
            ("source.user.email", json!("")),
            ("user.email", Json::Null),
        ],
    );
    said(
        &found(ALERTS),
        &[
            ("data_stream.dataset", json!("google_workspace.alert")),
            ("event.kind", json!("alert")),
            (
                "google_workspace.alert.data.login_details",
                json!({ "login_time": "2026-01-15T09:58:00.000Z", "ip_address": "198.51.100.7" }),
            ),
            (
                "google_workspace.alert.data.rule.violation_info.trigger",
                json!({ "value": "DRIVE_SHARE", "user": { "email": "kim@example.com" } }),
            ),
            ("google_workspace.alert.metadata.customer.id", json!("0example")),
        ],
    );
    // An application that nobody has heard of.
    let (stream, unheard) = record(
        "brand_new_application",
        "x",
        "y",
        json!({
            "brand_new_application_kind": "a", "FileSize": 12, "flags": [], "inner": { "parameter": [{ "name": "deepName", "boolValue": true }] }
        }),
    );
    said(
        &VENDOR.document(&stream, &unheard),
        &[
            ("data_stream.dataset", json!("google_workspace.brand_new_application")),
            (
                "google_workspace.brand_new_application",
                json!({ "kind": "a", "file_size": "12", "inner": { "deep_name": true } }),
            ),
        ],
    );
}

#[test]
fn every_application_that_is_known_has_its_parameters_in_its_document() {
    for stream in STREAMS.iter().filter(|stream| stream.name != ALERTS) {
        let (name, record) = record(stream.name, "x", "y", json!({ "something_new": "a" }));
        let document = VENDOR.document(&name, &record);
        let label = stream.names.dataset;
        assert_eq!(value_at(&document, &format!("{label}.something_new")), "a", "{document}");
        assert_eq!(
            VENDOR.refused(&document).iter().filter(|said| !said.ends_with("not in the list")).count(),
            0
        );
    }
}

#[test]
fn a_parameter_of_an_unexpected_form_is_kept_by_its_name() {
    let odd = json!([
        { "name": "login_timestamp", "value": "yesterday" },
        { "name": "is_suspicious", "multiValue": ["true"] },
        { "name": "login_type", "messageValue": { "parameter": [{ "name": "a", "value": "b" }] } },
        { "name": "login_challenge_method", "value": "password" },
        { "name": "login_challenge_method", "value": "totp" },
        { "name": "timestamp", "value": "a name that the prefix makes" },
        { "name": "new_message", "messageValue": { "parameter": [{ "name": "c", "value": "d" }] } },
        { "name": "two_forms", "value": "e", "intValue": "6" },
        { "name": 7, "value": "f" },
        { "value": "g" },
        "h",
        { "name": "login_failure_type" },
    ]);
    let record = event("login", "login", "login_failure", odd).to_string();
    let (documents, drift) = VENDOR.documents("login", record.as_bytes(), false);
    said(
        &documents[0],
        &[
            (
                "google_workspace.login",
                json!({
                    "challenge_method": "password", "type": "{\"parameter\":[{\"name\":\"a\",\"value\":\"b\"}]}"
                }),
            ),
            (
                "google_workspace.unmapped",
                json!({
                    "login_timestamp": "yesterday", "is_suspicious": ["true"], "challenge_method": "totp",
                    "events[0].parameters[5]": { "name": "timestamp", "value": "a name that the prefix makes" },
                    "events[0].parameters[6]": { "name": "new_message", "messageValue": { "parameter": [{ "name": "c", "value": "d" }] } },
                    "events[0].parameters[7]": { "name": "two_forms", "value": "e", "intValue": "6" },
                    "events[0].parameters[8]": { "name": 7, "value": "f" },
                    "events[0].parameters[9]": { "value": "g" },
                    "events[0].parameters[10]": "h"
                }),
            ),
        ],
    );
    assert_eq!(VENDOR.refused(&documents[0]), Vec::<String>::new());
    assert_eq!(drift, 10);
}

/// threads: elastic/integrations#12976, Azure/Azure-Sentinel#9639
#[test]
fn c25_both_spellings_of_a_challenges_end_are_read_and_any_other_is_unknown() {
    let outcome = |name: &str, status: Json| {
        let record = event(
            "login",
            "login",
            name,
            json!([
                { "name": "login_challenge_method", "multiValue": ["security_key"] }, { "name": "is_second_factor", "boolValue": true }, status,
            ]),
        );
        let document = VENDOR.document("login", &record);
        said(
            &document,
            &[
                ("event.action", json!(name)),
                ("google_workspace.login.challenge_method", json!(["security_key"])),
                ("google_workspace.login.is_second_factor", json!(true)),
            ],
        );
        value_at(&document, "event.outcome")
    };
    for name in ["login_challenge", "login_verification"] {
        for (words, want) in [
            (
                &[
                    "passed",
                    "Passed",
                    "PASSED.",
                    " passed ",
                    "Challenge Passed.",
                    "challenge passed",
                    "CHALLENGE PASSED",
                ][..],
                "success",
            ),
            (
                &[
                    "incorrect_answer_entered",
                    "Incorrect_Answer_Entered.",
                    "Challenge Failed.",
                    "challenge failed",
                    "failed",
                ],
                "failure",
            ),
            (&["", "skipped", "passed with conditions", "not passed", "."], "unknown"),
        ] {
            for word in words {
                for form in [json!({ "value": word }), json!({ "multiValue": [word] })] {
                    let mut status = form;
                    status["name"] = json!("login_challenge_status");
                    assert_eq!(outcome(name, status), want, "{name} {word:?}");
                }
            }
        }
        for nothing in [
            json!({}),
            json!({ "value": null }),
            json!({ "multiValue": [] }),
            json!({ "boolValue": true }),
            json!({ "intValue": "1" }),
        ] {
            let mut status = nothing;
            status["name"] = json!("login_challenge_status");
            assert_eq!(outcome(name, status), "unknown");
        }
    }
}

/// threads: elastic/integrations#4500, elastic/integrations#5300
#[test]
fn c27_three_events_of_an_activity_two_of_them_equal_are_three_documents_in_order() {
    let shared = json!({ "type": "acl_change", "name": "change_user_access", "parameters": [
        { "name": "doc_id", "value": "doc-7" }, { "name": "target_user", "value": "kim@example.net" }, { "name": "primary_event", "boolValue": false },
    ] });
    let edit = json!({ "type": "access", "name": "edit", "parameters": [{ "name": "doc_id", "value": "doc-8" }, { "name": "primary_event", "boolValue": true }] });
    let record = activity("drive", json!([shared, shared, edit]));
    let seen = |record: &Json| {
        let documents = VENDOR.documents("drive", record.to_string().as_bytes(), false).0;
        let parts = documents.iter().map(|document| {
            assert_eq!(value_at(document, "event.id"), "-4611686018427387904", "64 bits, to the last");
            assert_eq!(value_at(document, "@timestamp"), "2026-01-15T10:00:00.123Z");
            (
                value_at(document, "event.action"),
                value_at(document, "google_workspace.drive.file.id"),
                value_at(document, "google_workspace.drive.target_user"),
            )
        });
        parts.collect::<Vec<_>>()
    };
    let first = (json!("change_user_access"), json!("doc-7"), json!("kim@example.net"));
    // A delivery numbers the documents of a record in this order, so it must be the same every time.
    assert_eq!(seen(&record), [first.clone(), first, (json!("edit"), json!("doc-8"), Json::Null)]);
    assert_eq!(seen(&record), seen(&record));
    // What is no event takes no number from those that are.
    let mut holes = record.clone();
    holes["events"].as_array_mut().unwrap().insert(1, Json::Null);
    holes["events"].as_array_mut().unwrap().insert(0, json!("x"));
    assert_eq!(seen(&holes), seen(&record));
}

/// Leaves that no document shows, and why: a parameter's name is its field's, and without a value it says nothing.
fn ignored(path: &str, whole: &str) -> bool {
    let time = [
        "createTime",
        "updateTime",
        "startTime",
        "endTime",
        "loginTime",
        "id.time",
        "login_timestamp",
        "_usec",
        "expiry",
    ];
    let names_itself = path.ends_with(".name") && path.contains("parameter");
    // Times in one spelling, whatever theirs was.
    let is_time = whole.starts_with("20") || whole.starts_with("1768471");
    names_itself
        || (is_time
            && (time.iter().any(|name| path.ends_with(name))
                || path.ends_with("intValue")
                || path.ends_with(".date")))
}

#[test]
fn no_leaf_is_lost() {
    let mut all = fixtures();
    let odd = [
        ("events", json!([{ "name": "view", "parameters": "text", "more": { "a": 1 } }, 7, ["x"]])),
        ("events", json!("words")),
        ("events", json!(["words", 8])),
        ("events", json!({ "name": ["a"], "type": 5, "parameters": { "b": "c" }, "status": "d" })),
        (
            "actor",
            json!({ "email": 7, "profileId": true, "key": ["e"], "applicationInfo": "f", "more": "g" }),
        ),
        ("actor", json!("h")),
        ("id", json!({ "time": "never", "uniqueQualifier": ["i"], "customerId": 5, "more": "j" })),
        ("ipAddress", json!("192.0.2.300")),
        ("networkInfo", json!({ "ipAsn": ["k", { "l": 1 }], "regionCode": 6 })),
        ("resourceDetails", json!([{ "id": "m", "more": { "n": "o" }, "appliedLabels": "p" }, "q"])),
    ];
    for (name, value) in odd {
        let (stream, mut record) = all[0].clone();
        record[name] = value;
        all.push((stream, record));
    }
    for (stream, record) in all {
        let lost = VENDOR.lost(&stream, record.to_string().as_bytes(), ignored);
        assert_eq!(lost, Vec::<String>::new(), "{stream}: {record}");
    }
    for (stream, record, _) in published() {
        assert_eq!(
            VENDOR.lost(&stream, record.as_bytes(), ignored),
            Vec::<String>::new(),
            "{stream}: {record}"
        );
    }
}

/// Records that others published.
fn published() -> Vec<(String, String, Json)> {
    let Some(folder) = shared("samples/google_workspace") else { return Vec::new() };
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        for (record, theirs) in samples(&format!("google_workspace/{stem}")) {
            let parsed: Json = serde_json::from_str(&record).unwrap();
            let stream = parsed["id"]["applicationName"].as_str().unwrap().to_owned();
            all.push((stream, record, if stem.starts_with("elastic_") { theirs } else { Json::Null }));
        }
    }
    assert!(all.len() >= 50, "{}", all.len());
    all
}

#[test]
fn every_document_is_valid_and_taken() {
    let own = fixtures().into_iter().map(|(stream, record)| (stream, record.to_string()));
    let mut documents = Vec::new();
    for (stream, record) in own.chain(published().into_iter().map(|(stream, record, _)| (stream, record))) {
        for document in VENDOR.documents(&stream, record.as_bytes(), true).0 {
            let refused =
                VENDOR.refused(&document).into_iter().filter(|said| !said.ends_with("not in the list"));
            assert_eq!(refused.collect::<Vec<_>>(), Vec::<String>::new(), "{stream}: {record}");
            documents.push(document);
        }
    }
    valid(&documents);
}

#[test]
fn elastics_own_documents_agree() {
    /// Where ours differ, and why.
    const DIFFERENT: &[(&str, &str)] = &[
        ("ecs.version", "theirs is older"),
        ("data_stream", "theirs are constants of the index"),
        ("event.module", "theirs are constants of the index"),
        ("event.dataset", "theirs are constants of the index"),
        ("event.created", "theirs is left out of tests"),
        ("event.ingested", "theirs is left out of tests"),
        ("event.original", "theirs is one event of a record, ours the record"),
        ("event.category", "ours says what was done beside where it was told"),
        ("event.type", "ours says what was changed too"),
        ("event.reason", "ours only: why it failed"),
        ("device.id", "ours only: the device that it is about"),
        ("tags", "theirs says that it keeps what is elsewhere too, as ours always does"),
        ("event.start", "theirs is cut to the millisecond"),
        ("google_workspace.actor.email", "theirs drops what is elsewhere too, but in newer logs"),
        ("google_workspace.actor.profile", "theirs drops what is elsewhere too, but in newer logs"),
        ("google_workspace.event.name", "theirs drops what is elsewhere too, but in newer logs"),
        ("google_workspace.etag", "theirs drops it, but in newer logs"),
        ("google_workspace.id", "theirs drops what is elsewhere too, but in newer logs"),
        ("google_workspace.ip_address", "theirs drops what is elsewhere too, but in newer logs"),
        ("google_workspace.network_info", "theirs drops it"),
        ("google_workspace.login.is_suspicious", "theirs drops what is false"),
        ("user.email", "theirs has none in some logs, though rules ask for it"),
        ("user.target.email", "theirs has none in some logs"),
        ("related.user", "an id and an address are not the name that rules for users look for"),
        ("related.hosts", "the domain of an address is no host"),
        ("event.kind", "theirs has none in some logs; a lock-out and a stopped sign-in are verdicts"),
        (
            "event.outcome",
            "theirs has none where the record does not say; ours says `unknown`, or that a sign-in was stopped",
        ),
        ("source.geo", "theirs comes from a test database of addresses; ours from the record"),
        ("source.as", "theirs comes from a test database of addresses; ours from the record"),
    ];
    let mut needed = vec![false; DIFFERENT.len()];
    let mut compared = 0;
    for (stream, record, theirs) in published() {
        if theirs.is_null() {
            continue;
        }
        let ours = VENDOR.documents(&stream, record.as_bytes(), true).0.remove(0);
        compared += agree(&ours, &theirs, DIFFERENT, &mut needed);
    }
    if compared > 0 {
        assert!(compared > 300, "{compared} values");
        let idle: Vec<_> = DIFFERENT.iter().zip(&needed).filter(|(_, needed)| !**needed).collect();
        assert!(idle.is_empty(), "no document needs {idle:?}");
    }
}

#[test]
fn every_field_that_rules_query_can_be_produced() {
    /// What Google's records cannot fill, and why.
    const MISSING: &[(&str, &str)] = &[
        (
            "source.as.organization.name",
            "Google names the number of the network only; a database of addresses knows its owner",
        ),
        (
            "source.geo.city_name",
            "Google names country and subdivision by code; a database of addresses knows the city",
        ),
        (
            "source.geo.country_name",
            "Google names the country by code; a database of addresses knows its name",
        ),
        ("source.geo.location", "Google names no place on earth; a database of addresses does"),
        (
            "source.geo.region_name",
            "Google names the subdivision by code; a database of addresses knows its name",
        ),
    ];
    let mut produced: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (stream, record) in fixtures() {
        for (path, value) in leaves(&VENDOR.document(&stream, &record)) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            produced.entry(path).or_default().insert(value);
        }
    }
    let ours = include_str!("../../../../src/rules/prebuilt.ndjson");
    let rules: Vec<Json> = ours.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rules: Vec<_> = rules.iter().filter(|rule| rule["integration"] == "google_workspace").collect();
    assert_eq!(rules.len(), 29);
    let queried = |rule: &Json| rule["fields"].as_object().unwrap().clone();
    for rule in &rules {
        for field in queried(rule).keys() {
            let missing = MISSING.iter().any(|(name, _)| name == field);
            assert_ne!(produced.contains_key(field), missing, "{field}, which {} asks for", rule["name"]);
        }
    }
    for (field, reason) in MISSING {
        let asked = rules.iter().any(|rule| queried(rule).contains_key(*field));
        assert!(asked, "no rule asks for {field}: {reason}");
    }
    let Some(path) = shared("schemas/detection_rule_fields.json") else { return };
    let published: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let published = published["integrations"]["google_workspace"].as_array().unwrap();
    assert_eq!(published.len(), rules.len());
    for rule in published {
        for (field, values) in queried(rule) {
            let values: Vec<&str> = values.as_array().unwrap().iter().filter_map(Json::as_str).collect();
            let others = ["event.action", "source.as.number"];
            if values.is_empty() || values == ["(null test)"] || others.contains(&field.as_str()) {
                continue;
            }
            // At least one of the values that a rule compares with; which of them it excludes is not known here.
            let shown = values.iter().any(|value| {
                produced.get(&field).is_some_and(|found| found.iter().any(|found| matches(value, found)))
            });
            assert!(shown, "{}: {field} {values:?}", rule["name"]);
        }
    }
}

/// Whether a value fits a pattern with `*`.
fn matches(pattern: &str, value: &str) -> bool {
    let mut rest = value;
    let parts: Vec<&str> = pattern.split('*').collect();
    for (at, part) in parts.iter().enumerate() {
        match rest.find(part) {
            Some(0) => rest = &rest[part.len()..],
            Some(found) if at > 0 => rest = &rest[found + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || parts.last() == Some(&"")
}

fn odd() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
        prop::sample::select(vec![
            json!(""),
            json!("unknown"),
            json!("null"),
            json!("2026-13-01"),
            json!("99999"),
            json!("1990-04-01"),
            json!("192.0.2.1:1"),
            json!("0"),
            json!("{\"a\":{\"\":[1,{}]},\"a.b\":null}"),
            json!([]),
            json!({}),
            json!([[{}]]),
            json!(["a", 1, {}]),
            json!("😀".repeat(9_000)),
            json!({ "": 1, " ": "x", "a.b": 2, "a": { "b": 3 } }),
            json!({ "parameter": [{ "name": "a", "value": "b" }, { "name": "a.b", "messageValue": {} }, 5] }),
            json!([{ "parameter": [{ "name": "a", "boolValue": true }] }, "b"]),
            (0..60)
                .fold(json!({}), |inner, _| json!({ "parameter": [{ "name": "a", "messageValue": inner }] })),
            (0..60).fold(json!("x"), |inner, _| json!([inner])),
        ]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn whatever_a_record_holds_becomes_a_document_that_the_store_takes(
        fixture in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        mixed in prop::bool::weighted(0.3),
        changes in prop::collection::vec((any::<prop::sample::Index>(), odd()), 0..4),
        more in prop::collection::vec(
            (prop_oneof![".{0,8}", prop::sample::select(vec![
                "APP_ID", "APPLICATION_ID", "application", "user", "USER", "new_value", "login_type", "type", "scope_data", "setting_metadata",
                "SETTING_METADATA", "matched_detectors", "file", "file.id", "org_unit.full", "time", "a-b", "A B", "a_b",
            ]).prop_map(str::to_owned)], prop::sample::select(vec!["value", "intValue", "boolValue", "multiValue", "messageValue", "multiMessageValue", "another"]), odd()),
            0..6,
        ),
    ) {
        let all = fixtures();
        let (own, mut record) = all[fixture.index(all.len())].clone();
        let stream = if mixed { all[other.index(all.len())].0.clone() } else { own };
        if let Some(list) = record.pointer_mut("/events/0/parameters").and_then(Json::as_array_mut) {
            list.extend(more.iter().map(|(name, form, value)| json!({ "name": name, *form: value })));
        }
        for (place, value) in changes {
            let mut found = Vec::new();
            crate::documents::places(&record, "", &mut found);
            if let Some(found) = record.pointer_mut(&found[1 + place.index(found.len().max(2) - 1)]) {
                *found = value;
            }
        }
        let text = record.to_string();
        for document in VENDOR.documents(&stream, text.as_bytes(), false).0 {
            // A parameter that is not in the list is a string, whatever its form, so all documents agree about it.
            let refused: Vec<_> = VENDOR.refused(&document).into_iter().filter(|said| !said.ends_with("not in the list")).collect();
            prop_assert!(refused.is_empty(), "{refused:?}: {text}");
            let new = VENDOR.refused(&document).into_iter().filter(|said| !said.starts_with("google_workspace.")).collect::<Vec<_>>();
            prop_assert!(new.is_empty(), "{new:?}: {text}");
        }
    }
}

#[test]
fn a_raw_document_has_one_event_and_all_that_is_common() {
    let record =
        activity("drive", json!([{ "name": "view" }, 5, { "name": "edit", "parameters": [] }])).to_string();
    let mut tape = tidegate_core::json::Tape::new();
    let root = tape.cut(record.as_bytes()).unwrap();
    let raw = tidegate_core::schema::by_name("raw").unwrap();
    let mut seen = Vec::new();
    GoogleWorkspace
        .normalize(stream("drive"), root, &mut |event, _| {
            let mut out = Vec::new();
            raw.render(event, &super::documents::context("drive"), &mut out).unwrap();
            seen.push(serde_json::from_slice::<Json>(&out).unwrap());
        })
        .unwrap();
    let want = |event: Json| {
        let mut whole: Json = serde_json::from_str(&record).unwrap();
        whole.as_object_mut().unwrap().remove("events");
        whole["event"] = event;
        whole
    };
    assert_eq!(seen, [want(json!({ "name": "view" })), want(json!({ "name": "edit", "parameters": [] }))]);
}
