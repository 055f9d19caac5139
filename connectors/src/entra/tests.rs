//! Records become events: invented rows of every log, and any JSON.

use super::*;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::json;
use tidegate_core::event::Activity;
use tidegate_core::event::{
    ActorKind, Answer, Categories, Class, Deed, Ending, Event, Factor, Outcome, RiskLevel, TargetKind, Types,
};
use tidegate_core::json::{Tape, Text};

fn stream(name: &str) -> &'static Stream {
    STREAMS.iter().find(|stream| stream.name == name).unwrap()
}

fn show<T>(name: &str, record: &Json, show: impl FnOnce(&Event<'_>) -> T) -> T {
    let record = record.to_string();
    let mut tape = Tape::new();
    let root = tape.cut(record.as_bytes()).unwrap();
    let mut events = Vec::new();
    Entra.normalize(stream(name), root, &mut |event, _| events.push(std::mem::take(event))).unwrap();
    assert_eq!(events.len(), 1);
    show(&events[0])
}

fn plain<'e>(text: &'e Option<Text<'_>>) -> Option<&'e str> {
    text.as_ref().map(|text| text.as_plain().unwrap())
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn merged(mut base: Json, more: Json) -> Json {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

fn sign_in(more: Json) -> Json {
    let base = json!({
        "id": "5f1e0000-0000-4000-8000-000000000001",
        "createdDateTime": "2026-01-15T10:00:00.1234567Z",
        "userId": "aaaa0000-0000-4000-8000-000000000002",
        "userPrincipalName": "pat.doe@contoso.example.com",
        "userDisplayName": "Pat Doe",
        "appId": "bbbb0000-0000-4000-8000-000000000003",
        "appDisplayName": "Example Portal",
        "resourceId": "cccc0000-0000-4000-8000-000000000004",
        "resourceDisplayName": "Example API",
        "servicePrincipalId": "", "servicePrincipalName": null,
        "ipAddress": "192.0.2.44",
        "autonomousSystemNumber": 64500,
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
        "correlationId": "dddd0000-0000-4000-8000-000000000005",
        "originalRequestId": "eeee0000-0000-4000-8000-000000000006",
        "sessionId": "ffff0000-0000-4000-8000-000000000007",
        "conditionalAccessStatus": "success",
        "authenticationProtocol": "oAuth2",
        "authenticationRequirement": "multiFactorAuthentication",
        "status": { "errorCode": 0, "failureReason": "Other.", "additionalDetails": null },
        "deviceDetail": { "deviceId": "", "displayName": "laptop-7", "operatingSystem": "Linux", "browser": "Firefox 140.0", "isManaged": true },
        "location": { "city": "Exampleville", "state": "Example State", "countryOrRegion": "US",
                      "geoCoordinates": { "altitude": null, "latitude": 40.7, "longitude": -74.0 } },
        "riskLevelDuringSignIn": "medium", "riskLevelAggregated": "none",
        "riskEventTypes": ["old"], "riskEventTypes_v2": ["unfamiliarFeatures"],
    });
    merged(base, more)
}

#[test]
fn a_sign_in_says_who_where_and_into_what() {
    show("sign_ins", &sign_in(json!({})), |event| {
        assert_eq!(plain(&event.id), Some("5f1e0000-0000-4000-8000-000000000001"));
        assert_eq!(event.time, Some(at("2026-01-15T10:00:00.1234567Z")));
        assert_eq!(plain(&event.kind.action), Some("Sign-in activity"));
        assert_eq!((event.kind.class, event.kind.activity), (Class::Authentication, Activity::Logon));
        assert_eq!((event.kind.categories, event.kind.types), (Categories::AUTHENTICATION, Types::INFO));
        assert_eq!(event.actor.kind, ActorKind::User);
        let account = &event.actor.account;
        assert_eq!(plain(&account.id), Some("aaaa0000-0000-4000-8000-000000000002"));
        assert_eq!(
            (plain(&account.name), plain(&account.domain)),
            (Some("pat.doe"), Some("contoso.example.com"))
        );
        assert_eq!(plain(&account.email), Some("pat.doe@contoso.example.com"));
        assert_eq!(plain(&account.full_name), Some("Pat Doe"));
        assert_eq!(plain(&event.source.ip), Some("192.0.2.44"));
        assert_eq!(event.source.as_number, Some(64_500));
        assert_eq!(plain(&event.source.geo.country_code), Some("US"));
        assert_eq!(plain(&event.source.geo.region), Some("Example State"));
        assert_eq!(event.source.geo.location, Some(("40.7".into(), "-74.0".into())));
        assert!(event.agent.original.is_some());
        assert_eq!((plain(&event.device.id), event.device.managed), (None, Some(true)));
        assert_eq!(plain(&event.app.name), Some("Example Portal"));
        assert_eq!(event.targets[0].kind, TargetKind::App);
        assert_eq!(plain(&event.targets[0].account.full_name), Some("Example API"));
        assert_eq!(plain(&event.session.id), Some("ffff0000-0000-4000-8000-000000000007"));
        // Trap 14: the client's correlation id is used for several attempts.
        assert_eq!(plain(&event.transaction.id), Some("eeee0000-0000-4000-8000-000000000006"));
        assert_eq!((event.outcome.result, plain(&event.outcome.code)), (Ending::Success, Some("0")));
        assert_eq!(event.outcome.reason, None);
        assert_eq!((event.risk.level, plain(&event.risk.word)), (Some(RiskLevel::Medium), Some("medium")));
        assert_eq!(*event.risk.reasons, ["unfamiliarFeatures"]);
    });
}

#[test]
fn services_and_agents_are_no_people() {
    let service = json!({ "userId": "00000000-0000-0000-0000-000000000000", "userPrincipalName": "", "userDisplayName": "",
                          "servicePrincipalId": "abab0000-0000-4000-8000-000000000001", "servicePrincipalName": "backup-job" });
    for name in ["sign_ins_service_principal", "sign_ins_managed_identity"] {
        show(name, &sign_in(service.clone()), |event| {
            assert_eq!(event.actor.kind, ActorKind::Service);
            assert_eq!(plain(&event.actor.account.name), Some("backup-job"));
        });
    }
    for (kind, actor) in [
        ("notAgentic", ActorKind::User),
        ("unknownFutureValue", ActorKind::User),
        ("agenticAppInstance", ActorKind::Agent),
    ] {
        let record = sign_in(json!({ "agent": { "agentType": kind } }));
        show("sign_ins", &record, |event| assert_eq!(event.actor.kind, actor, "{kind}"));
    }
    show("sign_ins", &sign_in(json!({ "agent": {} })), |event| assert_eq!(event.actor.kind, ActorKind::User));
}

#[test]
fn a_guest_is_not_an_address_and_a_shortened_address_is_none() {
    let record = sign_in(
        json!({ "userPrincipalName": "kim_partner.example.net#EXT#@contoso.example.com", "ipAddress": "192.0.2.XXX" }),
    );
    show("sign_ins", &record, |event| {
        let account = &event.actor.account;
        assert_eq!((plain(&account.name), &account.email), (Some("kim_partner.example.net#EXT#"), &None));
        assert_eq!(plain(&account.domain), Some("contoso.example.com"));
        assert_eq!((&event.source.ip, plain(&event.source.address)), (&None, Some("192.0.2.XXX")));
    });
    show("sign_ins", &sign_in(json!({ "userPrincipalName": "typed name" })), |event| {
        assert_eq!(plain(&event.actor.account.name), Some("typed name"));
        assert_eq!((&event.actor.account.domain, &event.actor.account.email), (&None, &None));
    });
}

/// Trap 16: an interrupt is no failure, and both texts are kept.
#[test]
fn trap_16_the_error_code_says_how_it_ended_and_no_text_is_overwritten() {
    for (code, ending) in [
        (json!(50_126), Ending::Failure),
        (json!("50126"), Ending::Failure),
        (json!(50_074), Ending::Challenge),
        (json!(50_058), Ending::Interrupted),
        (json!(987_654), Ending::Failure),
        (json!(0), Ending::Success),
        (json!(null), Ending::Unknown),
        (json!([1]), Ending::Unknown),
    ] {
        let status = json!({ "errorCode": code, "failureReason": "Invalid.", "additionalDetails": "more" });
        show("sign_ins", &sign_in(json!({ "status": status })), |event| {
            assert_eq!(event.outcome.result, ending, "{code}");
            assert_eq!(
                (plain(&event.outcome.reason), plain(&event.message)),
                (Some("Invalid."), Some("more"))
            );
        });
    }
}

fn step(method: &str, requirement: &str, succeeded: Json, detail: &str) -> Json {
    json!({ "authenticationMethod": method, "authenticationStepRequirement": requirement, "succeeded": succeeded,
            "authenticationStepResultDetail": detail, "authenticationStepDateTime": "2026-01-15T10:00:00Z" })
}

fn password() -> Json {
    step("Password", "Primary authentication", json!(true), "Correct password")
}

fn second(method: &str, succeeded: Json, detail: &str) -> Json {
    step(method, "Secondary authentication", succeeded, detail)
}

type Mfa = (Option<Factor>, Option<Deed>, Option<Answer>, Option<bool>);

fn mfa(code: i64, text: Option<&str>, steps: Json, more: Json) -> Mfa {
    let status = json!({ "errorCode": code, "additionalDetails": text });
    let record = merged(sign_in(json!({ "status": status, "authenticationDetails": steps })), more);
    show("sign_ins", &record, |event| {
        (event.mfa.factor, event.mfa.deed, event.mfa.answer, event.mfa.performed)
    })
}

#[test]
fn steps_say_whether_a_second_factor_was_proven() {
    let verify = |factor, answer, performed| (Some(factor), Some(Deed::Verify), answer, Some(performed));
    for (code, steps, want) in [
        (
            0,
            json!([password(), second("Mobile app notification", json!(true), "MFA successfully completed")]),
            verify(Factor::Push, Some(Answer::Approved), true),
        ),
        (
            0,
            json!([password(), second("Text message", json!(true), "MFA completed in Azure AD")]),
            verify(Factor::Sms, Some(Answer::Approved), true),
        ),
        (
            0,
            json!([step(
                "FIDO2 security key",
                "Multifactor authentication",
                json!(true),
                "MFA completed in Azure AD"
            )]),
            verify(Factor::WebAuthn, Some(Answer::Approved), true),
        ),
        (
            500_121,
            json!([
                password(),
                second(
                    "Mobile app notification",
                    json!(false),
                    "MFA denied; user declined the authentication"
                )
            ]),
            verify(Factor::Push, Some(Answer::Denied), false),
        ),
        (
            500_121,
            json!([
                password(),
                second("Mobile app notification", json!(false), "MFA denied; phone app reported fraud")
            ]),
            verify(Factor::Push, Some(Answer::Fraud), false),
        ),
        (
            500_121,
            json!([password(), second("Phone call", json!(false), "MFA denied; user did not respond")]),
            verify(Factor::Call, Some(Answer::Unanswered), false),
        ),
        (
            500_121,
            json!([
                password(),
                second("OATH verification code", json!(false), "MFA denied; wrong code entered")
            ]),
            verify(Factor::Totp, Some(Answer::Failed), false),
        ),
        // It has also stood for refusals: nobody knows.
        (
            500_121,
            json!([
                password(),
                second(
                    "Mobile app notification",
                    json!(false),
                    "MFA denied; duplicate authentication attempt"
                )
            ]),
            verify(Factor::Push, None, false),
        ),
        // Trap 13: each push that is sent again adds a step; the last one is how it ended.
        (
            0,
            json!([
                password(),
                second(
                    "Mobile app notification",
                    json!(false),
                    "MFA denied; user declined the authentication"
                ),
                second("Mobile app notification", json!(true), "MFA completed in Azure AD")
            ]),
            verify(Factor::Push, Some(Answer::Approved), true),
        ),
        (
            50_074,
            json!([password(), second("Mobile app notification", json!(null), "Authentication in progress")]),
            (Some(Factor::Push), Some(Deed::Challenge), None, Some(false)),
        ),
        (
            0,
            json!([
                password(),
                second(
                    "Previously satisfied",
                    json!(true),
                    "MFA requirement satisfied by claim in the token"
                )
            ]),
            (None, Some(Deed::Remember), None, Some(true)),
        ),
        (
            0,
            json!([password(), second("", json!(true), "MFA requirement skipped due to remembered device")]),
            (None, Some(Deed::Remember), None, Some(false)),
        ),
        (
            0,
            json!([password(), second("", json!(true), "MFA requirement skipped due to IP address")]),
            (None, Some(Deed::Bypass), None, Some(false)),
        ),
        // Two factors in one, although it is the first step; a code by text message is only one.
        (
            0,
            json!([step("Windows Hello for Business", "Primary authentication", json!(true), "")]),
            verify(Factor::Device, Some(Answer::Approved), true),
        ),
        (
            0,
            json!([step("Text message", "Primary authentication", json!(true), "")]),
            (None, None, None, Some(false)),
        ),
        // A demanded factor that no step shows was not performed here.
        (0, json!([password()]), (None, None, None, Some(false))),
        (
            50_126,
            json!([step("Password", "Primary authentication", json!(false), "Invalid password")]),
            (None, None, None, None),
        ),
    ] {
        assert_eq!(mfa(code, None, steps.clone(), json!({})), want, "{steps}");
    }
}

#[test]
fn a_demand_is_no_proof_and_a_first_factor_no_second() {
    assert_eq!(
        mfa(
            50_074,
            None,
            json!([password(), second("Text message", json!(false), "MFA required in Azure AD")]),
            json!({})
        ),
        (Some(Factor::Sms), Some(Deed::Challenge), None, Some(false))
    );
    let satisfied = |what: &str| {
        let detail = format!("{what} requirement satisfied by claim in the token");
        mfa(0, None, json!([step("Previously satisfied", "", json!(true), &detail)]), json!({}))
    };
    assert_eq!(satisfied("First factor"), (None, None, None, Some(false)));
    assert_eq!(satisfied("MFA"), (None, Some(Deed::Remember), None, Some(true)));
}

#[test]
fn a_denial_that_only_a_step_tells_is_the_detail() {
    let declined = "MFA denied; user declined the authentication";
    let details = |code: i64, additional: Json, steps: Json| {
        let status = json!({ "errorCode": code, "failureReason": "Authentication failed.", "additionalDetails": additional });
        let record = sign_in(json!({ "status": status, "authenticationDetails": steps }));
        show("sign_ins", &record, |event| {
            let Outcome { reason, detail, .. } = &event.outcome;
            assert_eq!(plain(reason), Some("Authentication failed."));
            (plain(detail).map(str::to_owned), plain(&event.message).map(str::to_owned))
        })
    };
    let both = |text: &str| (Some(text.to_owned()), Some(text.to_owned()));
    let failed = json!([password(), second("Mobile app notification", json!(false), declined)]);
    assert_eq!(details(500_121, json!(null), failed.clone()), both(declined));
    assert_eq!(details(500_121, json!("Another sentence"), failed.clone()), both("Another sentence"));
    // A second try was right.
    assert_eq!(details(0, json!(null), failed).0, None);
    let status = json!({ "errorCode": 500_121 });
    let steps = json!([second("Mobile app notification", json!(false), declined)]);
    show("sign_ins", &sign_in(json!({ "status": status, "authenticationDetails": steps })), |event| {
        assert_eq!((plain(&event.outcome.reason), &event.outcome.detail), (Some(declined), &None));
    });
}

#[test]
fn without_steps_the_code_and_its_sentence_are_asked() {
    for (code, text, want) in [
        (
            0,
            Some("MFA completed in Azure AD"),
            (None, Some(Deed::Verify), Some(Answer::Approved), Some(true)),
        ),
        (
            0,
            Some("MFA requirement satisfied by claim in the token"),
            (None, Some(Deed::Remember), None, Some(true)),
        ),
        (
            500_121,
            Some("MFA denied; user declined the authentication"),
            (None, Some(Deed::Verify), Some(Answer::Denied), Some(false)),
        ),
        (500_121, None, (None, Some(Deed::Verify), None, Some(false))),
        (50_074, None, (None, Some(Deed::Challenge), None, Some(false))),
        // Absence proves nothing.
        (0, None, (None, None, None, None)),
        (50_126, None, (None, None, None, None)),
        (50_053, None, (None, None, None, None)),
    ] {
        assert_eq!(mfa(code, text, json!([]), json!({})), want, "{code} {text:?}");
        assert_eq!(mfa(code, text, json!(null), json!({})), want, "{code} {text:?}");
    }
    // Trap 15: `mfaDetail` names a factor and proves nothing.
    let detail = json!({ "mfaDetail": { "authMethod": "Text message", "authDetail": "+X XXXXXXX12" } });
    assert_eq!(mfa(0, None, json!([]), detail), (Some(Factor::Sms), None, None, None));
}

#[test]
fn a_wrong_number_and_a_phishing_resistant_factor_are_named() {
    let number = |status: &str| json!({ "authenticationAppPolicyEvaluationDetails": [{ "policyName": "p", "status": status }] });
    assert_eq!(
        mfa(500_121, None, json!([]), number("numberMatchIncorrectNumberEntered")),
        (Some(Factor::Push), Some(Deed::Verify), Some(Answer::WrongNumber), Some(false))
    );
    assert_eq!(mfa(500_121, None, json!([]), number("numberMatchDeny")).2, Some(Answer::Denied));
    for (method, factor, resistant) in [
        ("Passkey (device-bound)", Some(Factor::WebAuthn), Some(true)),
        ("Windows Hello for Business", Some(Factor::Device), Some(true)),
        ("X.509 Certificate", Some(Factor::Certificate), Some(true)),
        ("Passwordless phone sign-in", Some(Factor::Push), None),
        ("OATH hardware token", Some(Factor::HardwareToken), None),
        ("Authenticator App", Some(Factor::Push), None),
        ("Mobile app verification code", Some(Factor::Totp), None),
        ("One-time code", Some(Factor::Otp), None),
        ("Something of tomorrow", None, None),
    ] {
        let record = sign_in(
            json!({ "authenticationDetails": [second(method, json!(true), "MFA completed in Azure AD")] }),
        );
        show("sign_ins", &record, |event| {
            assert_eq!((event.mfa.factor, event.mfa.phishing_resistant), (factor, resistant), "{method}");
            assert_eq!(event.mfa.performed, Some(true));
        });
    }
}

fn audit(more: Json) -> Json {
    let base = json!({
        "id": "Directory_5a1f_00001", "activityDateTime": "2026-01-15T10:00:00Z", "activityDisplayName": "Update user",
        "category": "UserManagement", "operationType": "Update", "correlationId": "dddd0000-0000-4000-8000-000000000005",
        "loggedByService": "Core Directory", "result": "success", "resultReason": "",
        "initiatedBy": { "app": null, "user": { "id": "aaaa0000-0000-4000-8000-000000000002", "displayName": null,
            "userPrincipalName": "admin@contoso.example.com", "ipAddress": "198.51.100.7" } },
        "targetResources": [
            { "id": "bbbb0000-0000-4000-8000-000000000003", "displayName": "Pat Doe", "type": "User",
              "userPrincipalName": "pat.doe@contoso.example.com",
              "modifiedProperties": [{ "displayName": "AccountEnabled", "oldValue": "[true]", "newValue": "[false]" }] },
            { "id": "cccc0000-0000-4000-8000-000000000004", "type": "Group", "displayName": "Staff", "modifiedProperties": [] },
        ],
        "additionalDetails": [{ "key": "User-Agent", "value": "curl/8.5.0" }],
    });
    merged(base, more)
}

#[test]
fn an_audit_says_who_did_what_to_whom() {
    show("directory_audits", &audit(json!({})), |event| {
        assert_eq!(
            (plain(&event.id), event.time),
            (Some("Directory_5a1f_00001"), Some(at("2026-01-15T10:00:00Z")))
        );
        assert_eq!(plain(&event.kind.action), Some("Update user"));
        assert_eq!((event.kind.class, event.kind.activity), (Class::Account, Activity::Update));
        assert_eq!(
            (event.kind.categories, event.kind.types),
            (Categories::IAM, Types::USER.with(Types::CHANGE))
        );
        assert_eq!((event.actor.kind, plain(&event.actor.account.name)), (ActorKind::User, Some("admin")));
        assert_eq!(plain(&event.source.ip), Some("198.51.100.7"));
        assert_eq!(plain(&event.agent.original), Some("curl/8.5.0"));
        assert_eq!(event.outcome.result, Ending::Success);
        let kinds: Vec<_> = event.targets.iter().map(|target| target.kind).collect();
        assert_eq!(kinds, [TargetKind::User, TargetKind::Group]);
        assert_eq!(plain(&event.targets[0].account.name), Some("pat.doe"));
        assert_eq!(event.changes.len(), 1);
        assert_eq!(plain(&event.changes[0].to), Some("[false]"));
    });
    let app = json!({ "initiatedBy": { "user": null, "app": { "appId": null, "displayName": "Provisioner",
        "servicePrincipalId": "eeee0000-0000-4000-8000-000000000001" } } });
    show("directory_audits", &audit(app), |event| {
        assert_eq!(
            (event.actor.kind, plain(&event.actor.account.full_name)),
            (ActorKind::Service, Some("Provisioner"))
        );
    });
    for nobody in [json!({ "user": null, "app": null }), json!({}), json!(null), json!("x")] {
        show("directory_audits", &audit(json!({ "initiatedBy": nobody })), |event| {
            assert_eq!((event.actor.kind, &event.actor.account.id), (ActorKind::System, &None));
        });
    }
    for (word, ending) in [
        ("success", Ending::Success),
        ("failure", Ending::Failure),
        ("timeout", Ending::Failure),
        ("unknownFutureValue", Ending::Unknown),
    ] {
        show("directory_audits", &audit(json!({ "result": word })), |event| {
            assert_eq!(event.outcome.result, ending)
        });
    }
    show(
        "directory_audits",
        &audit(json!({ "initiatedBy": { "user": { "ipAddress": "<null>" } } })),
        |event| {
            assert_eq!((&event.source.ip, &event.source.address), (&None, &None));
        },
    );
}

#[test]
fn a_registered_factor_is_an_enrolment() {
    let record = audit(
        json!({ "activityDisplayName": "User registered security info", "resultReason": "User registered Authenticator App with Code" }),
    );
    show("directory_audits", &record, |event| {
        assert_eq!(event.kind.activity, Activity::FactorEnable);
        assert_eq!((event.mfa.deed, event.mfa.factor), (Some(Deed::Enroll), Some(Factor::Totp)));
        assert_eq!(event.mfa.performed, None);
    });
}

#[test]
fn a_name_that_says_a_factor_is_no_account_of_its_own() {
    use Activity::{FactorDisable, FactorEnable, Update};
    let of = |name: &str, operation: &str| {
        let record = audit(json!({ "activityDisplayName": name, "operationType": operation }));
        show("directory_audits", &record, |event| {
            assert_eq!(event.kind.class, Class::Account, "{name}");
            assert_eq!(event.kind.types, Types::USER.with(Types::CHANGE), "{name}");
            (event.kind.activity, event.mfa.deed.unwrap(), event.mfa.factor)
        })
    };
    for (name, operation, want) in [
        ("Add FIDO2 security key", "Add", (FactorEnable, Deed::Enroll, Some(Factor::WebAuthn))),
        ("Delete FIDO2 security key", "Delete", (FactorDisable, Deed::Remove, Some(Factor::WebAuthn))),
        ("Add Passkey (device-bound)", "Add", (FactorEnable, Deed::Enroll, Some(Factor::WebAuthn))),
        ("Delete Passkey (device-bound)", "", (FactorDisable, Deed::Remove, Some(Factor::WebAuthn))),
        (
            "Add Windows Hello for Business credential",
            "Add",
            (FactorEnable, Deed::Enroll, Some(Factor::Device)),
        ),
        (
            "Delete Windows Hello for Business credential",
            "Delete",
            (FactorDisable, Deed::Remove, Some(Factor::Device)),
        ),
        (
            "Add passwordless phone sign-in credential",
            "Add",
            (FactorEnable, Deed::Enroll, Some(Factor::Push)),
        ),
        // Begun is not done.
        ("User started security info registration", "Add", (Update, Deed::Update, None)),
        ("User cancelled security info registration", "Delete", (Update, Deed::Update, None)),
        ("Admin deleted security info", "Delete", (FactorDisable, Deed::Remove, None)),
        ("Update FIDO2 security key", "Update", (Update, Deed::Update, Some(Factor::WebAuthn))),
    ] {
        assert_eq!(of(name, operation), want, "{name}");
    }
}

#[test]
fn a_reported_fraud_is_an_alert() {
    for (name, activity) in [
        ("Fraud reported - user is blocked for MFA", Activity::Lock),
        ("Fraud reported - no action taken", Activity::Other),
    ] {
        let record = audit(json!({ "activityDisplayName": name }));
        show("directory_audits", &record, |event| {
            assert_eq!((event.kind.class, event.kind.activity), (Class::Account, activity));
            assert!(event.kind.alert && event.kind.categories.has(Categories::INTRUSION_DETECTION));
            assert_eq!((event.mfa.answer, event.risk.threat), (Some(Answer::Fraud), Some(true)));
        });
    }
}

#[test]
fn a_change_of_a_users_methods_is_about_factors() {
    let of = |name: &str, old: Json, new: Json| {
        let changes = json!([{ "displayName": name, "oldValue": old, "newValue": new }]);
        let record = audit(json!({ "targetResources": [{ "type": "User", "modifiedProperties": changes }] }));
        show("directory_audits", &record, |event| {
            assert_eq!(event.kind.class, Class::Account);
            (event.kind.activity, event.mfa.deed)
        })
    };
    let methods = "StrongAuthenticationMethod";
    let (one, two) = (r#"[{"MethodType":6,"Default":true}]"#, r#"[{"MethodType":6},{"MethodType":7}]"#);
    assert_eq!(of(methods, json!(one), json!(two)), (Activity::Update, Some(Deed::Update)));
    for empty in [json!("[]"), json!(""), json!(null), json!("null")] {
        assert_eq!(of(methods, json!(two), empty.clone()), (Activity::FactorDisable, Some(Deed::Reset)));
        assert_eq!(of(methods, empty, json!(one)), (Activity::FactorEnable, Some(Deed::Enroll)));
    }
    assert_eq!(of("City", json!("[\"A\"]"), json!("[]")), (Activity::Update, None));
    let policy = audit(
        json!({ "activityDisplayName": "Authentication Methods Policy Update", "category": "ApplicationManagement" }),
    );
    show("directory_audits", &policy, |event| {
        assert_eq!((event.kind.class, event.mfa.deed), (Class::Entity, Some(Deed::Update)));
        assert_eq!(event.kind.activity, Activity::Update);
    });
}

fn detection(more: Json) -> Json {
    let base = json!({
        "id": "88880000000000000000000000000001", "requestId": "5f1e0000-0000-4000-8000-000000000001", "correlationId": null,
        "riskEventType": "unlikelyTravel", "riskLevel": "high", "riskState": "atRisk", "riskDetail": "none",
        "source": "Azure Active Directory", "activity": "signin", "ipAddress": "203.0.113.5",
        "activityDateTime": "2026-01-10T08:00:00Z", "detectedDateTime": "2026-01-15T10:00:00Z",
        "lastUpdatedDateTime": "2026-01-15T10:05:00Z", "userId": "aaaa0000-0000-4000-8000-000000000002",
        "userPrincipalName": "pat.doe@contoso.example.com", "location": { "city": "", "countryOrRegion": "FR" },
        "additionalInfo": "[{\"Key\":\"userAgent\",\"Value\":\"curl/8.5.0\"},{\"Key\":\"riskReasons\",\"Value\":[\"UnfamiliarASN\",\"UnfamiliarIP\"]},{\"Key\":\"alertUrl\",\"Value\":null}]",
    });
    merged(base, more)
}

#[test]
fn a_detection_is_an_alert_whose_time_is_that_of_its_finding() {
    show("risk_detections", &detection(json!({})), |event| {
        assert!(event.kind.alert);
        assert_eq!((event.kind.class, event.kind.activity), (Class::Detection, Activity::Create));
        assert_eq!(plain(&event.kind.action), Some("unlikelyTravel"));
        assert_eq!(event.time, Some(at("2026-01-15T10:00:00Z")));
        assert_eq!((event.risk.level, event.risk.threat), (Some(RiskLevel::High), Some(true)));
        assert_eq!(*event.risk.reasons, ["UnfamiliarASN", "UnfamiliarIP"]);
        assert_eq!(plain(&event.agent.original), Some("curl/8.5.0"));
        assert_eq!((event.actor.kind, plain(&event.source.ip)), (ActorKind::User, Some("203.0.113.5")));
        assert_eq!(event.outcome.result, Ending::Unknown);
    });
    for state in ["remediated", "dismissed", "confirmedSafe"] {
        show("risk_detections", &detection(json!({ "riskState": state })), |event| {
            assert_eq!((event.kind.activity, event.risk.threat), (Activity::Close, Some(false)), "{state}");
        });
    }
    show("risk_detections", &detection(json!({ "riskState": "confirmedCompromised" })), |event| {
        assert_eq!(event.kind.activity, Activity::Update);
    });
    let hidden = json!({ "riskLevel": "hidden", "ipAddress": null, "additionalInfo": "not JSON" });
    show("risk_detections", &detection(hidden), |event| {
        assert_eq!((event.risk.level, plain(&event.risk.word)), (None, Some("hidden")));
    });
    let workload = json!({ "userId": null, "userPrincipalName": null, "servicePrincipalId": "abab0000-0000-4000-8000-000000000001",
                           "servicePrincipalDisplayName": "backup-job" });
    show("service_principal_risk_detections", &detection(workload), |event| {
        assert_eq!(event.actor.kind, ActorKind::Service);
        assert_eq!(plain(&event.actor.account.full_name), Some("backup-job"));
    });
}

#[test]
fn a_provisioning_says_what_became_of_whom() {
    let record = json!({
        "id": "gggg", "activityDateTime": "2026-01-15T10:00:00Z", "provisioningAction": "Create", "changeId": "c1", "cycleId": "c2",
        "provisioningStatusInfo": { "status": "failure", "errorInformation": { "errorCode": "DuplicateTargetEntries", "reason": "two of them" } },
        "initiatedBy": { "id": "", "displayName": "Azure AD Provisioning Service", "initiatorType": "system" },
        "servicePrincipal": { "id": "sp1", "displayName": "Example CRM" },
        "targetIdentity": { "id": "t1", "displayName": "pat.doe", "identityType": "User" },
        "modifiedProperties": [{ "displayName": "active", "oldValue": null, "newValue": "True" }],
    });
    show("provisioning", &record, |event| {
        assert_eq!((event.kind.class, event.kind.activity), (Class::Account, Activity::Create));
        assert_eq!(
            (event.kind.categories, event.kind.types),
            (Categories::IAM, Types::USER.with(Types::CREATION))
        );
        assert_eq!(
            (event.outcome.result, plain(&event.outcome.code)),
            (Ending::Failure, Some("DuplicateTargetEntries"))
        );
        assert_eq!((event.actor.kind, plain(&event.app.name)), (ActorKind::System, Some("Example CRM")));
        assert_eq!(event.targets[0].kind, TargetKind::AppUser);
        assert_eq!((plain(&event.transaction.id), event.changes.len()), (Some("c1"), 1));
    });
    let odd = json!({ "provisioningAction": "stagedDelete", "targetIdentity": { "id": "x", "identityType": "Robot" } });
    show("provisioning", &merged(record, odd), |event| {
        assert_eq!((event.kind.class, event.kind.activity), (Class::Entity, Activity::Disable));
        assert_eq!(event.kind.types, Types::CHANGE);
    });
}

#[test]
fn identity_is_an_id_and_a_time_that_never_changes() {
    let identity = |name: &str, record: &Json| {
        let record = record.to_string();
        let mut tape = Tape::new();
        let found = Entra.identity(stream(name), tape.cut(record.as_bytes()).unwrap());
        (found.id.map(std::borrow::Cow::into_owned), found.time)
    };
    let changed =
        detection(json!({ "riskState": "dismissed", "lastUpdatedDateTime": "2026-01-20T00:00:00Z" }));
    assert_eq!(identity("risk_detections", &detection(json!({}))), identity("risk_detections", &changed));
    assert_eq!(
        identity("risk_detections", &changed),
        (Some("88880000000000000000000000000001".to_owned()), Some(at("2026-01-15T10:00:00Z")))
    );
    assert_eq!(identity("directory_audits", &audit(json!({}))).1, Some(at("2026-01-15T10:00:00Z")));
    for (text, time) in [
        ("2026-01-15T10:00:00Z", Some("2026-01-15T10:00:00Z")),
        ("2026-01-15T10:00:00.1Z", Some("2026-01-15T10:00:00.1Z")),
        ("2026-01-15T10:00:00.1234567+00:00", Some("2026-01-15T10:00:00.1234567Z")),
        // Trap 17: hours of one digit.
        ("2026-01-15T5:32:08.107Z", Some("2026-01-15T05:32:08.107Z")),
        ("2026-01-15T5", None),
        ("T5:", None),
        ("yesterday", None),
    ] {
        let found = identity("sign_ins", &sign_in(json!({ "createdDateTime": text })));
        assert_eq!(found.1, time.map(at), "{text}");
    }
    assert_eq!(identity("sign_ins", &json!({ "id": 7, "createdDateTime": 7 })), (None, None));
    assert_eq!(identity("sign_ins", &json!([])), (None, None));
}

#[test]
fn a_merged_step_of_mfa_is_a_revision_and_another_order_of_members_is_none() {
    use tidegate_core::json::meaning;
    let said = |record: &str| {
        let mut tape = Tape::new();
        meaning(tape.cut(record.as_bytes()).unwrap(), Entra.volatile(stream("sign_ins")))
    };
    let first = sign_in(json!({ "authenticationDetails": [password()] }));
    let later =
        sign_in(json!({ "authenticationDetails": [password(), second("Text message", json!(true), "x")] }));
    assert_ne!(said(&first.to_string()), said(&later.to_string()));
    assert_eq!(said(r#"{"id":"1","a":{"b":1,"c":2}}"#), said(r#"{ "a":{"c":2,"b":1}, "id":"1" }"#));
}

#[test]
fn what_is_no_object_is_no_event_and_an_empty_one_is() {
    let mut tape = Tape::new();
    let root = tape.cut(b"[]").unwrap();
    assert!(Entra.normalize(stream("sign_ins"), root, &mut |_, _| panic!("an event")).is_err());
    for stream in STREAMS {
        show(stream.name, &json!({}), |event| assert_eq!((&event.id, event.time), (&None, None)));
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
        "\\PC{0,4}@\\PC{0,4}".prop_map(Into::into),
        Just(json!("[{\"Key\":\"riskReasons\",\"Value\":[1,\"x\"]},7,null]")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::vec((known_key(), inner), 0..5)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// Names that mean something in one of the logs.
fn known_key() -> impl Strategy<Value = String> {
    let mut keys: Vec<String> = [sign_in(json!({})), audit(json!({})), detection(json!({})), password()]
        .iter()
        .flat_map(|record| record.as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .collect();
    keys.extend(
        [
            "user",
            "app",
            "key",
            "value",
            "errorCode",
            "provisioningAction",
            "targetIdentity",
            "identityType",
            "modifiedProperties",
            "authenticationDetails",
            "mfaDetail",
            "agent",
            "geoCoordinates",
            "latitude",
        ]
        .map(str::to_owned),
    );
    proptest::sample::select(keys)
}

proptest! {
    #[test]
    fn any_record_of_any_log_becomes_an_event_without_a_panic(
        members in proptest::collection::vec((known_key(), any_json()), 0..12),
        twice: bool,
        at in 0usize..8,
    ) {
        let mut text = Json::Object(members.into_iter().collect()).to_string();
        if twice && text.len() > 2 {
            // Members that come again, as something else.
            text.insert_str(1, "\"id\":[1],\"status\":7,\"location\":\"x\",\"targetResources\":{},");
        }
        let mut tape = Tape::new();
        if let Ok(root) = tape.cut(text.as_bytes()) {
            let stream = &STREAMS[at];
            let _identity = Entra.identity(stream, root);
            let mut events = 0;
            Entra.normalize(stream, root, &mut |_, _| events += 1).unwrap();
            prop_assert_eq!(events, 1);
        }
    }
}
