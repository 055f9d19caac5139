//! Records against identities and events.

use super::*;
use tidegate_core::event::{Class, Ending, Event, Severity, TargetKind};
use tidegate_core::json::{Tape, meaning};

/// The id and the time of a record, and its meaning.
fn identified(name: &str, record: &str) -> (Option<String>, Option<DateTime<Utc>>, u64) {
    let mut tape = Tape::new();
    let value = tape.cut(record.as_bytes()).unwrap();
    let Identity { id, time } = GoogleWorkspace.identity(stream(name), value);
    (id.map(std::borrow::Cow::into_owned), time, meaning(value, GoogleWorkspace.volatile(stream(name))))
}

/// What `show` sees in each of a record's events.
fn events<T>(name: &str, record: &Json, show: impl Fn(&Event<'_>) -> T) -> Vec<T> {
    let record = record.to_string();
    let mut tape = Tape::new();
    let root = tape.cut(record.as_bytes()).unwrap();
    let mut shown = Vec::new();
    GoogleWorkspace.normalize(stream(name), root, &mut |event, _| shown.push(show(event))).unwrap();
    shown
}

pub(super) fn activity(application: &str, events: Json) -> Json {
    json!({
        "kind": "admin#reports#activity",
        "id": { "time": "2026-01-15T10:00:00.123Z", "uniqueQualifier": "-4611686018427387904", "applicationName": application, "customerId": "C0example" },
        "etag": "\"e\"",
        "actor": { "callerType": "USER", "email": "pat.doe@example.com", "profileId": "113316239944706535444" },
        "ipAddress": "192.0.2.10",
        "networkInfo": { "ipAsn": [64500], "regionCode": "DE", "subdivisionCode": "DE-BE" },
        "events": events,
    })
}

pub(super) fn event(application: &str, kind: &str, name: &str, parameters: Json) -> Json {
    activity(application, json!([{ "type": kind, "name": name, "parameters": parameters }]))
}

fn plain(text: &Option<tidegate_core::json::Text<'_>>) -> String {
    text.as_ref().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn g3_an_activity_is_known_by_qualifier_application_customer_and_time() {
    let id = |more: &str| {
        identified(
            "login",
            &format!(
                r#"{{"id":{{"time":"2026-01-15T10:00:00.123Z","uniqueQualifier":"-7","applicationName":"login","customerId":"C0"{more}}}}}"#
            ),
        )
    };
    let whole = id("");
    assert_eq!(whole.0.as_deref(), Some("2026-01-15T10:00:00.123Z/-7/login/C0"));
    assert_eq!(whole.1, Some(at("2026-01-15T10:00:00.123Z")));
    for other in [
        r#","time":"2026-01-15T10:00:00.124Z""#,
        r#","uniqueQualifier":"7""#,
        r#","applicationName":"saml""#,
        r#","customerId":"C1""#,
    ] {
        assert_ne!(id(other).0, whole.0, "{other}");
    }
    // White space, the order of members and the way of writing do not count.
    let same = r#"{ "id" : {"customerId":"C0", "uniqueQualifier":"\u002d7","applicationName":"login","time":"2026-01-15T10:00:00.123Z"} }"#;
    assert_eq!(identified("login", same).0, whole.0);
}

#[test]
fn g10_g12_ids_survive_missing_parts_numbers_and_the_old_spelling() {
    let id = |id: &str| {
        let (found, time, _) = identified("login", &format!(r#"{{"id":{id}}}"#));
        (found.unwrap_or_default(), time.map(|time| time.timestamp()))
    };
    let seconds = Some(1_768_471_200);
    assert_eq!(id(r#"{"uniqueQualifier":"-7"}"#), ("/-7//".to_owned(), None));
    assert_eq!(
        id(r#"{"uniqueQualifier":-9007199254740993,"time":"x"}"#),
        ("x/-9007199254740993//".to_owned(), None)
    );
    assert_eq!(
        id(r#"{"uniqQualifier":"q","time":"2026-01-15T10:00:00Z"}"#),
        ("2026-01-15T10:00:00Z/q//".to_owned(), seconds)
    );
    assert_eq!(id(r#"{"uniqueQualifier":"q","time":"1768471200"}"#).1, seconds);
    for none in
        [r#"{"time":"2026-01-15T10:00:00Z"}"#, r#"{"uniqueQualifier":null}"#, "7", "null", "[]", r#""x""#]
    {
        assert_eq!(id(none).0, "", "{none}");
    }
    assert_eq!(identified("login", "{}").0, None);
    assert_eq!(identified("login", "7").0, None);
}

#[test]
fn an_entity_tag_makes_no_revision_and_a_status_does() {
    let activity = |etag: &str| {
        identified("login", &format!(r#"{{"id":{{"uniqueQualifier":"1"}},"etag":"{etag}","events":[]}}"#)).2
    };
    assert_eq!(activity("a"), activity("b"));
    let alert = |etag: &str, status: &str| {
        identified(
            ALERTS,
            &format!(
                r#"{{"alertId":"a1","etag":"{etag}","metadata":{{"etag":"{etag}","status":"{status}"}}}}"#
            ),
        )
        .2
    };
    assert_eq!(alert("a", "CLOSED"), alert("b", "CLOSED"));
    assert_ne!(alert("a", "CLOSED"), alert("a", "IN_PROGRESS"));
}

#[test]
fn an_alert_is_known_by_its_id_and_the_time_of_its_making() {
    let (id, time, _) = identified(
        ALERTS,
        r#"{"alertId":"a1","createTime":"2026-01-15T10:00:00.5Z","updateTime":"2026-01-16T10:00:00Z"}"#,
    );
    assert_eq!((id.as_deref(), time), (Some("a1"), Some(at("2026-01-15T10:00:00.5Z"))));
    let (id, time, _) = identified(ALERTS, r#"{"alertId":7,"createTime":null}"#);
    assert_eq!((id, time), (None, None));
}

#[test]
fn a_sign_in_says_who_from_where_and_with_which_factors() {
    let record = event(
        "login",
        "login",
        "login_success",
        json!([
            { "name": "login_type", "value": "google_password" },
            { "name": "login_challenge_method", "multiValue": ["password", "password", "google_prompt"] },
            { "name": "is_suspicious", "boolValue": false },
        ]),
    );
    let seen = events("login", &record, |event| {
        assert_eq!(event.kind.class, Class::Authentication);
        assert_eq!(event.outcome.result, Ending::Success);
        assert_eq!(event.time, Some(at("2026-01-15T10:00:00.123Z")));
        assert_eq!((event.source.as_number, event.risk.threat), (Some(64_500), Some(false)));
        let account = &event.actor.account;
        [
            plain(&event.id),
            plain(&event.kind.action),
            plain(&account.id),
            plain(&account.name),
            plain(&account.domain),
            plain(&account.email),
            plain(&event.source.ip),
            plain(&event.source.geo.country_code),
            plain(&event.session.protocol),
            plain(&event.mfa.word),
            event.mfa.summary().unwrap(),
        ]
    });
    let wants = [
        "-4611686018427387904",
        "login_success",
        "113316239944706535444",
        "pat.doe",
        "example.com",
        "pat.doe@example.com",
        "192.0.2.10",
        "DE",
        "google_password",
        "google_prompt",
        "push, approved, performed",
    ];
    assert_eq!(seen, [wants]);
}

#[test]
fn factors_are_counted_as_far_as_the_record_says() {
    let mfa = |name: &str, methods: Json, status: Option<&str>| {
        let form = if methods.is_string() { "value" } else { "multiValue" };
        let mut parameters = json!([{ "name": "login_challenge_method", form: methods }]);
        if let Some(status) = status {
            parameters
                .as_array_mut()
                .unwrap()
                .push(json!({ "name": "login_challenge_status", "value": status }));
        }
        let record = event("login", "login", name, parameters);
        events("login", &record, |event| (event.mfa.summary().unwrap_or_default(), event.mfa.performed))
            .remove(0)
    };
    let success = |methods: Json| mfa("login_success", methods, None);
    let said = |text: &str, performed| (text.to_owned(), performed);
    assert_eq!(success(json!(["password"])), said("password, approved", Some(false)));
    // Older records have one where newer ones have a list.
    assert_eq!(success(json!("totp")), said("totp, approved, performed", Some(true)));
    assert_eq!(success(json!("offline_otp")), said("otp, approved, performed", Some(true)));
    assert_eq!(success(json!(["password", "captcha"])).1, Some(false));
    assert_eq!(success(json!(["password", "passkey"])), said("webauthn, approved, performed", Some(true)));
    assert_eq!(success(json!(["passkey"])), said("webauthn, approved", None));
    assert_eq!(success(json!(["saml"])), said("delegated, approved", None));
    assert_eq!(success(json!(["password", "a_new_word"])).1, None);
    assert_eq!(success(json!(["backup_code"])), said("recovery code, approved, performed", Some(true)));
    assert_eq!(success(json!(["none"])).1, None);
    assert_eq!(success(json!([])), said("", None));
    assert_eq!(mfa("login_failure", json!(["password"]), None), said("password, failed", Some(false)));
    // G11: both families of words, with and without the full stop; any other is unknown, never a failure.
    for passed in ["Challenge Passed.", "challenge passed", " passed ", "Passed."] {
        assert_eq!(
            mfa("login_challenge", json!("security_key"), Some(passed)),
            said("webauthn, approved, performed", Some(true)),
            "{passed}"
        );
    }
    for failed in ["Challenge Failed.", "incorrect_answer_entered", "failed"] {
        assert_eq!(
            mfa("login_verification", json!("totp"), Some(failed)),
            said("totp, failed", Some(false)),
            "{failed}"
        );
    }
    for unknown in [Some(""), Some("skipped"), None] {
        assert_eq!(
            mfa("login_challenge", json!("totp"), unknown),
            said("totp, challenge", None),
            "{unknown:?}"
        );
    }
    let other = |application: &str, name: &str| {
        events(application, &event(application, "x", name, json!([])), |event| {
            event.mfa.summary().unwrap_or_default()
        })
        .remove(0)
    };
    assert_eq!(other("user_accounts", "2sv_disable"), "removal");
    assert_eq!(other("login", "passkey_enrolled"), "webauthn, enrolment");
    assert_eq!(other("admin", "TURN_OFF_2_STEP_VERIFICATION"), "removal");
    assert_eq!(other("login", "logout"), "");
}

#[test]
fn g6_each_event_of_an_activity_is_one_of_ours_in_order() {
    let record = activity(
        "admin",
        json!([
            { "type": "USER_SETTINGS", "name": "CREATE_USER", "parameters": [{ "name": "USER_EMAIL", "value": "kim@example.com" }] },
            { "type": "DELEGATED_ADMIN_SETTINGS", "name": "ASSIGN_ROLE", "parameters": [
                { "name": "ROLE_NAME", "value": "_SEED_ADMIN_ROLE" }, { "name": "USER_EMAIL", "value": "kim@example.com" },
            ] },
            null, 7,
            { "type": "A_NEW_TYPE", "name": "SOMETHING_UNHEARD_OF" },
        ]),
    );
    let seen = events("admin", &record, |event| {
        let targets: Vec<_> = event.targets.iter().map(|target| target.kind).collect();
        (plain(&event.kind.action), event.kind.class, targets, plain(&event.actor.account.email))
    });
    let actor = || "pat.doe@example.com".to_owned();
    assert_eq!(
        seen,
        [
            ("CREATE_USER".to_owned(), Class::Account, vec![TargetKind::User], actor()),
            ("ASSIGN_ROLE".to_owned(), Class::Access, vec![TargetKind::Role, TargetKind::User], actor()),
            ("SOMETHING_UNHEARD_OF".to_owned(), Class::Entity, vec![], actor()),
        ]
    );
    // One where a list was expected, and none at all.
    for (events_of, actions) in [
        (json!({ "name": "logout" }), vec!["logout"]),
        (json!([]), vec![""]),
        (json!("x"), vec![""]),
        (Json::Null, vec![""]),
    ] {
        assert_eq!(
            events("login", &activity("login", events_of), |event| plain(&event.kind.action)),
            actions
        );
    }
}

#[test]
fn other_applications_say_whom_and_what_they_touch() {
    let seen = |application: &str, kind: &str, name: &str, parameters: Json| {
        events(application, &event(application, kind, name, parameters), |event| {
            let target = event.targets.first().map(|target| {
                let account = &target.account;
                format!(
                    "{:?} {}{}{}",
                    target.kind,
                    plain(&account.email),
                    plain(&account.full_name),
                    plain(&account.id)
                )
            });
            let change = event
                .changes
                .first()
                .map(|change| format!("{} {}>{}", change.name, plain(&change.from), plain(&change.to)));
            (
                event.kind.class,
                event.outcome.result,
                target.or(change).unwrap_or_default(),
                plain(&event.app.name),
            )
        })
        .remove(0)
    };
    let said = |class, result, target: &str, app: &str| (class, result, target.to_owned(), app.to_owned());
    assert_eq!(
        seen(
            "saml",
            "login",
            "login_failure",
            json!([{ "name": "application_name", "value": "Wiki" }, { "name": "failure_type", "value": "failure_unknown" }])
        ),
        said(Class::Authentication, Ending::Failure, "", "Wiki")
    );
    assert_eq!(
        seen(
            "token",
            "auth",
            "authorize",
            json!([{ "name": "app_name", "value": "Calendar Helper" }, { "name": "scope", "multiValue": ["openid"] }])
        ),
        said(Class::Entity, Ending::Unknown, "", "Calendar Helper")
    );
    assert_eq!(
        seen(
            "groups_enterprise",
            "moderator_action",
            "add_member",
            json!([{ "name": "group_id", "value": "ops@example.com" }, { "name": "member_id", "value": "kim@example.com" }])
        ),
        said(Class::Group, Ending::Unknown, "Group ops@example.comops@example.com", "")
    );
    assert_eq!(
        seen(
            "drive",
            "access",
            "view",
            json!([{ "name": "doc_id", "value": "d1" }, { "name": "doc_title", "value": "Plan" }, { "name": "doc_type", "value": "document" }])
        ),
        said(Class::File, Ending::Unknown, "File Pland1", "")
    );
    assert_eq!(
        seen(
            "admin",
            "APPLICATION_SETTINGS",
            "CHANGE_APPLICATION_SETTING",
            json!([
                { "name": "SETTING_NAME", "value": "2SV" }, { "name": "OLD_VALUE", "value": "true" }, { "name": "NEW_VALUE", "value": "false" },
            ])
        ),
        said(Class::Entity, Ending::Unknown, "2SV true>false", "")
    );
    assert_eq!(
        seen(
            "login",
            "account_warning",
            "suspicious_login",
            json!([{ "name": "affected_email_address", "value": "kim@example.com" }])
        ),
        said(Class::Detection, Ending::Denied, "User kim@example.com", "")
    );
    assert_eq!(
        seen(
            "context_aware_access",
            "x",
            "ACCESS_DENY_EVENT",
            json!([{ "name": "CAA_APPLICATION", "value": "GMAIL" }])
        )
        .1,
        Ending::Denied
    );
    // `meet` has the address among its parameters.
    let mut call =
        event("meet", "call", "call_ended", json!([{ "name": "ip_address", "value": "2001:db8::7" }]));
    call.as_object_mut().unwrap().remove("ipAddress");
    assert_eq!(events("meet", &call, |event| plain(&event.source.ip)), ["2001:db8::7"]);
}

#[test]
fn what_the_organisation_demands_of_factors_is_about_factors() {
    use tidegate_core::event::Deed;
    let of = |name: &str, parameters: Json| {
        events("admin", &event("admin", "SECURITY_SETTINGS", name, parameters), |event| {
            assert_eq!(event.kind.class, Class::Entity);
            event.mfa.deed
        })
        .remove(0)
    };
    let new = |value: Json| json!([{ "name": "OLD_VALUE", "value": "INHERIT_FROM_PARENT" }, value]);
    let text = |value: &str| new(json!({ "name": "NEW_VALUE", "value": value }));
    for name in ["ALLOW_STRONG_AUTHENTICATION", "ENFORCE_STRONG_AUTHENTICATION"] {
        for on in [text("true"), text("ON"), new(json!({ "name": "NEW_VALUE", "boolValue": true }))] {
            assert_eq!(of(name, on), Some(Deed::Allow));
        }
        for off in [text("false"), text("off"), new(json!({ "name": "NEW_VALUE", "boolValue": false }))] {
            assert_eq!(of(name, off), Some(Deed::Forbid));
        }
        for other in [text("INHERIT_FROM_PARENT"), json!([])] {
            assert_eq!(of(name, other), Some(Deed::Update));
        }
    }
    for name in ["CHANGE_ALLOWED_TWO_STEP_VERIFICATION_METHODS", "CHANGE_TWO_STEP_VERIFICATION_FREQUENCY"] {
        assert_eq!(of(name, text("false")), Some(Deed::Update));
    }
    assert_eq!(of("CHANGE_SESSION_LENGTH", text("false")), None);
}

#[test]
fn a_word_for_nothing_is_no_id_and_no_name_but_may_be_a_value() {
    let parameters = json!([
        { "name": "DEVICE_ID", "value": "UNKNOWN" }, { "name": "DEVICE_MODEL", "value": "n/a" },
        { "name": "ROLE_NAME", "value": "-" }, { "name": "app_name", "multiValue": ["unknown", "Calendar Helper"] },
        { "name": "client_id", "intValue": "77" }, { "name": "USER_EMAIL", "value": "null" },
        { "name": "SETTING_NAME", "value": "unknown" }, { "name": "OLD_VALUE", "value": "none" },
        { "name": "NEW_VALUE", "value": "UNKNOWN" }, { "name": "login_challenge_method", "multiValue": ["none"] },
    ]);
    let seen = events("admin", &event("admin", "x", "SOMETHING", parameters), |event| {
        assert!(event.targets.is_empty() && event.device.id.is_none() && event.device.name.is_none());
        assert_eq!(
            (plain(&event.app.name), plain(&event.app.id)),
            ("Calendar Helper".to_owned(), "77".to_owned())
        );
        let change = &event.changes[0];
        (change.name.to_string(), plain(&change.from), plain(&change.to))
    });
    assert_eq!(seen, [("unknown".to_owned(), "none".to_owned(), "UNKNOWN".to_owned())]);
}

#[test]
fn newer_records_say_themselves_how_they_ended() {
    for (status, result) in [
        ("SUCCEEDED", Ending::Success),
        ("FAILED", Ending::Failure),
        ("SKIPPED", Ending::Pending),
        ("UNKNOWN_EVENT_STATUS", Ending::Unknown),
    ] {
        let record = activity(
            "admin",
            json!([{ "name": "CREATE_USER", "status": { "eventStatus": status, "errorCode": "E1", "errorMessage": "no seats" } }]),
        );
        let seen = events("admin", &record, |event| {
            (event.outcome.result, plain(&event.outcome.code), plain(&event.outcome.reason))
        });
        assert_eq!(seen, [(result, "E1".to_owned(), "no seats".to_owned())]);
    }
}

#[test]
fn actors_are_people_services_systems_and_agents() {
    use tidegate_core::event::ActorKind;
    let seen = |actor: Json, agentic: bool| {
        let mut record = activity("login", json!([]));
        record["actor"] = actor;
        record["isAgenticAction"] = agentic.into();
        events("login", &record, |event| {
            let Event { actor, .. } = event;
            (
                actor.kind,
                plain(&actor.account.id),
                plain(&actor.account.name),
                plain(&actor.on_behalf_of.email),
            )
        })
        .remove(0)
    };
    let said =
        |kind, id: &str, name: &str, behalf: &str| (kind, id.to_owned(), name.to_owned(), behalf.to_owned());
    assert_eq!(
        seen(json!({ "profileId": "1", "email": "a@example.com" }), false),
        said(ActorKind::User, "1", "a", "")
    );
    assert_eq!(
        seen(json!({ "callerType": "KEY", "key": "SYSTEM" }), false),
        said(ActorKind::System, "", "SYSTEM", "")
    );
    assert_eq!(
        seen(json!({ "callerType": "KEY", "key": "consumer" }), false),
        said(ActorKind::Service, "", "consumer", "")
    );
    assert_eq!(seen(json!({ "profileId": "105250506097979753968" }), false).0, ActorKind::System);
    assert_eq!(
        seen(json!({ "email": "", "profileId": 105_250_506_097_979_i64 }), false),
        said(ActorKind::Unknown, "105250506097979", "", "")
    );
    let agent = json!({ "email": "a@example.com", "agentAttributionInfo": { "agentId": "ag1", "agentName": "Helper" } });
    assert_eq!(seen(agent, false), said(ActorKind::Agent, "ag1", "", "a@example.com"));
    assert_eq!(seen(json!({ "email": "a@example.com" }), true).0, ActorKind::Agent);
}

#[test]
fn g10_an_address_that_is_none_is_kept_as_text() {
    let mut record = activity("drive", json!([{ "name": "view" }]));
    record["ipAddress"] = "192.0.2.300".into();
    let seen = events("drive", &record, |event| (event.source.ip.is_none(), plain(&event.source.address)));
    assert_eq!(seen, [(true, "192.0.2.300".to_owned())]);
}

#[test]
fn an_alert_is_a_finding_with_a_severity_and_a_life() {
    use tidegate_core::event::Activity;
    let record = |status: &str, updated: &str| {
        json!({
            "alertId": "a1", "customerId": "0example", "createTime": "2026-01-15T10:00:00Z", "updateTime": updated,
            "type": "Suspicious login", "source": "Google identity",
            "data": { "@type": "type.googleapis.com/google.apps.alertcenter.type.AccountWarning", "email": "kim@example.com", "loginDetails": { "ipAddress": "198.51.100.7" } },
            "metadata": { "status": status, "severity": "HIGH" },
        })
    };
    let seen = |status: &str, updated: &str| {
        events(ALERTS, &record(status, updated), |event| {
            assert!(event.kind.alert && event.kind.class == Class::Detection);
            assert_eq!(event.severity, Some(Severity::Error));
            assert_eq!(
                (plain(&event.kind.action), plain(&event.source.ip)),
                ("Suspicious login".to_owned(), "198.51.100.7".to_owned())
            );
            assert_eq!(plain(&event.targets[0].account.email), "kim@example.com");
            event.kind.activity
        })
        .remove(0)
    };
    assert_eq!(seen("NOT_STARTED", "2026-01-15T10:00:00Z"), Activity::Create);
    assert_eq!(seen("IN_PROGRESS", "2026-01-15T11:00:00Z"), Activity::Update);
    assert_eq!(seen("CLOSED", "2026-01-15T11:00:00Z"), Activity::Close);
    let mut handled = record("NOT_STARTED", "2026-01-15T10:00:00Z");
    handled["metadata"]["updateTime"] = "2026-01-15T11:00:00Z".into();
    assert_eq!(events(ALERTS, &handled, |event| event.kind.activity), [Activity::Update]);
}

#[test]
fn what_is_no_object_is_no_event() {
    for name in ["login", ALERTS] {
        for record in ["7", "null", "[]", "\"x\""] {
            let mut tape = Tape::new();
            let root = tape.cut(record.as_bytes()).unwrap();
            assert!(GoogleWorkspace.normalize(stream(name), root, &mut |_, _| panic!("an event")).is_err());
        }
    }
}
