//! What each of Duo's actions is: those of the activity log, the administrator log and offline enrollment, which share
//! their names.
//!
//! Duo adds actions without notice. One that is not here is read by its last word, which says what happened.

use tidegate_core::event::{Activity, Categories, Class, Deed, Ending, Factor, Types};

/// What an action is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Which kind of thing happened.
    pub class: Class,
    /// What happened to it.
    pub activity: Activity,
    /// ECS categories.
    pub categories: Categories,
    /// ECS types, all of them expected for one of the categories.
    pub types: Types,
    /// What was done with a factor, and with which kind.
    pub deed: Option<(Deed, Option<Factor>)>,
    /// How it ended, where the name says so.
    pub ending: Option<Ending>,
}

const fn meaning(class: Class, activity: Activity, categories: Categories, types: Types) -> Meaning {
    Meaning { class, activity, categories, types, deed: None, ending: None }
}

/// An account of a user; `what` happened to it.
const fn user(activity: Activity, what: Types) -> Meaning {
    meaning(Class::Account, activity, Categories::IAM, Types::USER.with(what))
}

/// An administrator's account.
const fn admin(activity: Activity, what: Types) -> Meaning {
    meaning(Class::Account, activity, Categories::IAM, Types::ADMIN.with(what))
}

const fn group(activity: Activity, what: Types) -> Meaning {
    meaning(Class::Group, activity, Categories::IAM, Types::GROUP.with(what))
}

/// Applications, policies, directories, settings.
const fn entity(activity: Activity, what: Types) -> Meaning {
    meaning(Class::Entity, activity, Categories::CONFIGURATION, what)
}

const fn factor(activity: Activity, deed: Deed, factor: Option<Factor>) -> Meaning {
    Meaning { deed: Some((deed, factor)), ..user(activity, Types::CHANGE) }
}

const fn ended(ending: Ending, meaning: Meaning) -> Meaning {
    Meaning { ending: Some(ending), ..meaning }
}

const LOGON: Meaning =
    meaning(Class::Authentication, Activity::Logon, Categories::AUTHENTICATION, Types::START);
const LOCK: Meaning = user(Activity::Lock, Types::CHANGE);
const BYPASS: Meaning = factor(Activity::FactorDisable, Deed::Bypass, Some(Factor::RecoveryCode));
const UNKNOWN: Meaning = meaning(Class::Other, Activity::Other, Categories::empty(), Types::empty());

/// The first word: what it happened to.
#[must_use]
pub fn family(action: &str) -> &str {
    // A searcher costs more than so few letters.
    let end = action.bytes().position(|byte| byte == b'_').unwrap_or(action.len());
    action.get(..end).unwrap_or_default()
}

/// The last word.
fn last_word(action: &str) -> &str {
    let begin = action.bytes().rposition(|byte| byte == b'_').map_or(0, |sign| sign + 1);
    action.get(begin..).unwrap_or_default()
}

/// What happened, by the last word.
fn verb(action: &str) -> Option<(Activity, Types)> {
    Some(match last_word(action) {
        "create" | "created" | "add" => (Activity::Create, Types::CREATION),
        "delete" | "deleted" | "remove" => (Activity::Delete, Types::DELETION),
        "view" => (Activity::Read, Types::ACCESS),
        "update" | "rename" | "resync" | "assign" | "unassign" | "pause" | "resume" => {
            (Activity::Update, Types::CHANGE)
        }
        _ => return None,
    })
}

/// Which factor a device is.
fn device(action: &str) -> Option<Option<Factor>> {
    Some(match family(action) {
        "webauthncredential" => Some(Factor::WebAuthn),
        "u2ftoken" => Some(Factor::U2f),
        "hardtoken" => Some(Factor::HardwareToken),
        // A phone is several factors at once.
        "phone" => None,
        _ => return None,
    })
}

/// Looks an action up.
#[must_use]
pub fn find(action: &str) -> Meaning {
    match action {
        "admin_login" => ended(Ending::Success, LOGON),
        "admin_login_error" | "admin_2fa_error" => ended(Ending::Failure, LOGON),
        "adminapi_request_ip_denied" => ended(
            Ending::Denied,
            meaning(
                Class::Authentication,
                Activity::Logon,
                Categories::AUTHENTICATION,
                Types::START.with(Types::INFO),
            ),
        ),
        "admin_account_switch" => Meaning { activity: Activity::Switch, types: Types::INFO, ..LOGON },
        "admin_lockout" | "user_adminapi_lockout" | "user_not_enrolled_lockout" => LOCK,
        "user_lockout_cleared" => user(Activity::Unlock, Types::CHANGE),
        "user_create" | "user_import" | "user_bulk_enroll" => user(Activity::Create, Types::CREATION),
        "user_delete" | "user_pending_delete" => user(Activity::Delete, Types::DELETION),
        "user_restore" => user(Activity::Enable, Types::CHANGE),
        "bypass_create" => BYPASS,
        "bypass_view" => Meaning { types: Types::USER.with(Types::INFO), ..BYPASS },
        "bypass_delete" => user(Activity::Update, Types::CHANGE),
        // The last but one is Duo's own spelling, in the activity log.
        "admin_activate_duo_push"
        | "admin_reactivates_duo_push"
        | "admin_rectivates_duo_push"
        | "admin_self_activate" => Meaning {
            types: Types::ADMIN.with(Types::CHANGE),
            ..factor(Activity::FactorEnable, Deed::Enroll, Some(Factor::Push))
        },
        "deregister_devices" => factor(Activity::FactorDisable, Deed::Remove, None),
        "o2fa_user_provisioned" | "o2fa_user_reenrolled" => {
            factor(Activity::FactorEnable, Deed::Enroll, None)
        }
        "o2fa_user_deprovisioned" => factor(Activity::FactorDisable, Deed::Remove, None),
        "admin_reset_password" | "admin_send_reset_password_email" => {
            admin(Activity::PasswordReset, Types::CHANGE)
        }
        "admin_single_sign_on_update" => entity(Activity::Update, Types::CHANGE),
        // Which factors administrators may use.
        "admin_factor_restrictions"
        | "admin_factor_restrictions_update"
        | "update_admin_factor_restrictions" => {
            Meaning { deed: Some((Deed::Update, None)), ..entity(Activity::Update, Types::CHANGE) }
        }
        "integration_skey_view" | "integration_skey_bulk_view" => entity(Activity::Read, Types::ACCESS),
        _ => by_family(action),
    }
}

fn by_family(action: &str) -> Meaning {
    if action.contains("_sync_") {
        let sync = entity(Activity::Other, Types::INFO);
        return match last_word(action) {
            "fail" | "failed" | "failure" => ended(Ending::Failure, sync),
            "finish" | "success" => ended(Ending::Success, sync),
            "begin" => ended(Ending::Pending, sync),
            _ => entity(Activity::Update, Types::CHANGE),
        };
    }
    if action.starts_with("log_export_") {
        let export = meaning(Class::Api, Activity::Read, Categories::API, Types::ACCESS);
        return if action.ends_with("failure") { ended(Ending::Failure, export) } else { export };
    }
    if let Some(kind) = device(action) {
        return match last_word(action) {
            "create" | "associate" => factor(Activity::FactorEnable, Deed::Enroll, kind),
            "delete" | "disassociate" => factor(Activity::FactorDisable, Deed::Remove, kind),
            _ => factor(Activity::Update, Deed::Update, kind),
        };
    }
    match (family(action), verb(action)) {
        ("admin", Some((activity, what))) => admin(activity, what),
        ("admin", None) => admin(Activity::Other, Types::INFO),
        ("user", Some((activity, what))) => user(activity, what),
        ("user", None) => user(Activity::Other, Types::INFO),
        ("group", Some((activity, what))) => group(activity, what),
        ("group", None) => group(Activity::Other, Types::INFO),
        (_, Some((activity, what))) => entity(activity, what),
        (
            "integration" | "policy" | "directory" | "azure" | "management" | "customer" | "credits"
            | "edition" | "feature",
            None,
        ) => entity(Activity::Other, Types::INFO),
        (_, None) => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every action that Duo is known to write, both logs'.
    const ACTIONS: &[&str] = &[
        "activation_begin",
        "activation_create_link",
        "ad_sync_begin",
        "ad_sync_by_user_finish",
        "ad_sync_failed",
        "ad_sync_finish",
        "admin_2fa_error",
        "admin_account_switch",
        "admin_activate_duo_push",
        "admin_create",
        "admin_delete",
        "admin_factor_restrictions",
        "admin_lockout",
        "admin_login",
        "admin_login_error",
        "admin_rectivates_duo_push",
        "admin_reset_password",
        "admin_single_sign_on_update",
        "admin_update",
        "adminapi_request_ip_denied",
        "azure_directory_create",
        "azure_sync_fail",
        "bypass_create",
        "bypass_delete",
        "bypass_view",
        "customer_update",
        "deregister_devices",
        "device_change_notification_create",
        "directory_sync_pause",
        "edition_update",
        "feature_add",
        "group_create",
        "group_delete",
        "group_update",
        "hardtoken_create",
        "hardtoken_resync",
        "integration_create",
        "integration_policy_assign",
        "integration_skey_bulk_view",
        "log_export_failure",
        "log_export_start",
        "management_system_sync_failure",
        "management_system_view_password",
        "o2fa_user_deprovisioned",
        "o2fa_user_provisioned",
        "phone_associate",
        "phone_disassociate",
        "phone_new_sms_passcode",
        "policy_update",
        "u2ftoken_create",
        "user_bulk_enroll",
        "user_create",
        "user_lockout_cleared",
        "user_pending_delete",
        "user_restore",
        "user_update",
        "webauthncredential_delete",
        "webauthncredential_rename",
    ];

    #[test]
    fn types_are_those_that_ecs_expects_for_the_category() {
        let expected = |categories: Categories| match categories {
            Categories::AUTHENTICATION => Types::START.with(Types::END).with(Types::INFO),
            Categories::IAM => Types::ADMIN
                .with(Types::CHANGE)
                .with(Types::CREATION)
                .with(Types::DELETION)
                .with(Types::GROUP)
                .with(Types::INFO)
                .with(Types::USER),
            Categories::CONFIGURATION => Types::ACCESS
                .with(Types::CHANGE)
                .with(Types::CREATION)
                .with(Types::DELETION)
                .with(Types::INFO),
            Categories::API => Types::ACCESS,
            _ => Types::empty(),
        };
        for action in ACTIONS {
            let Meaning { categories, types, .. } = find(action);
            assert!(expected(categories).has(types), "{action}: {categories:?} {types:?}");
        }
    }

    #[test]
    fn says_what_was_done_with_a_factor() {
        let deed = |action| find(action).deed;
        assert_eq!(deed("webauthncredential_create"), Some((Deed::Enroll, Some(Factor::WebAuthn))));
        assert_eq!(deed("u2ftoken_create"), Some((Deed::Enroll, Some(Factor::U2f))));
        assert_eq!(deed("hardtoken_delete"), Some((Deed::Remove, Some(Factor::HardwareToken))));
        assert_eq!(deed("phone_associate"), Some((Deed::Enroll, None)));
        assert_eq!(deed("admin_rectivates_duo_push"), Some((Deed::Enroll, Some(Factor::Push))));
        assert_eq!(deed("bypass_create"), Some((Deed::Bypass, Some(Factor::RecoveryCode))));
        assert_eq!(deed("user_update"), None);
        for action in [
            "admin_factor_restrictions",
            "admin_factor_restrictions_update",
            "update_admin_factor_restrictions",
        ] {
            assert_eq!(deed(action), Some((Deed::Update, None)), "{action}");
            assert_eq!(find(action).class, Class::Entity);
        }
    }

    #[test]
    fn names_tell_how_some_actions_ended() {
        assert_eq!(find("admin_login_error").ending, Some(Ending::Failure));
        assert_eq!(find("ad_sync_failed").ending, Some(Ending::Failure));
        assert_eq!(find("azure_sync_by_user_begin").ending, Some(Ending::Pending));
        assert_eq!(find("log_export_failure").ending, Some(Ending::Failure));
        assert_eq!(find("user_create").ending, None);
    }

    #[test]
    fn an_unknown_action_is_read_by_its_last_word() {
        let read = |action| (find(action).class, find(action).activity);
        assert_eq!(read("passport_create"), (Class::Entity, Activity::Create));
        assert_eq!(read("user_teleport"), (Class::Account, Activity::Other));
        assert_eq!(find("something_new"), UNKNOWN);
        assert_eq!(find(""), UNKNOWN);
        assert_eq!(find("_"), UNKNOWN);
    }
}
