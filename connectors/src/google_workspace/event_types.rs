//! What each of Google's event names is. A name is its application's: `create` means one thing in `drive` and another
//! elsewhere. Google adds and renames without notice, so a name that is not here is read by its application and type.

use tidegate_core::event::{Activity, Categories, Class, Types};

/// What an event is.
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
    /// Google's own verdict.
    pub alert: bool,
}

const fn meaning(class: Class, activity: Activity, categories: Categories, types: Types) -> Meaning {
    Meaning { class, activity, categories, types, alert: false }
}

const AUTH: Categories = Categories::AUTHENTICATION;
const IAM: Categories = Categories::IAM;
const CONFIG: Categories = Categories::CONFIGURATION;
const SESSION: Categories = AUTH.with(Categories::SESSION);
const INTRUSION: Categories = Categories::INTRUSION_DETECTION;
const USER_AND_CHANGE: Types = Types::USER.with(Types::CHANGE);
const GROUP_AND_CHANGE: Types = Types::GROUP.with(Types::CHANGE);
const ADMIN_AND_CHANGE: Types = Types::ADMIN.with(Types::CHANGE);

const fn account(activity: Activity, types: Types) -> Meaning {
    meaning(Class::Account, activity, IAM, types)
}

const fn group(activity: Activity, types: Types) -> Meaning {
    meaning(Class::Group, activity, IAM, types)
}

const fn access(activity: Activity) -> Meaning {
    meaning(Class::Access, activity, IAM, ADMIN_AND_CHANGE)
}

/// What administrators do is `iam` to existing content, whatever they do it to.
const fn entity(activity: Activity, types: Types) -> Meaning {
    meaning(Class::Entity, activity, IAM.with(CONFIG), types)
}

const fn file(activity: Activity, types: Types) -> Meaning {
    meaning(Class::File, activity, Categories::FILE, types)
}

/// A verdict of Google's; also what every alert of the Alert Center is.
pub(super) const FINDING: Meaning =
    Meaning { alert: true, ..meaning(Class::Detection, Activity::Create, INTRUSION, Types::INFO) };
/// The same of a sign-in.
const WARNING: Meaning = Meaning { categories: AUTH.with(INTRUSION), ..FINDING };
const LOGON: Meaning = meaning(Class::Authentication, Activity::Logon, SESSION, Types::START);
const LOGOFF: Meaning = meaning(Class::Authentication, Activity::Logoff, SESSION, Types::END);
const STEP: Meaning = meaning(Class::Authentication, Activity::Preauth, AUTH, Types::INFO);
const SIGN_IN: Meaning = meaning(Class::Authentication, Activity::Other, AUTH, Types::INFO);
const JUDGED: Meaning = meaning(Class::AuthorizeSession, Activity::Other, SESSION, Types::INFO);
/// Google has locked somebody out, because of what it saw.
const LOCKED_OUT: Meaning = Meaning {
    alert: true,
    ..meaning(
        Class::Account,
        Activity::Disable,
        IAM.with(INTRUSION).with(AUTH),
        USER_AND_CHANGE.with(Types::INFO),
    )
};
const USER_CHANGE: Meaning = account(Activity::Update, USER_AND_CHANGE);
const GROUP_CHANGE: Meaning = group(Activity::Update, GROUP_AND_CHANGE);
const CONFIG_CHANGE: Meaning = entity(Activity::Update, Types::CHANGE);
const MAIL: Meaning = meaning(Class::Other, Activity::Other, Categories::EMAIL, Types::INFO);
/// Rules look for a user's new device under `iam`.
const DEVICE: Meaning = meaning(Class::Entity, Activity::Update, IAM.with(Categories::HOST), Types::INFO);
const CALL: Meaning = meaning(Class::Api, Activity::Read, Categories::API, Types::ACCESS);
const NOTHING: Meaning = meaning(Class::Other, Activity::Other, Categories::empty(), Types::empty());

/// What an event is: by the application whose log holds it, its type (which may be missing) and its name.
#[must_use]
pub fn find(application: &str, kind: &str, name: &str) -> Meaning {
    match application {
        "login" | "user_accounts" => sign_in(application, name),
        "saml" if name.starts_with("login_") => LOGON,
        "saml" => SIGN_IN,
        "token" => match name {
            "authorize" => meaning(Class::Entity, Activity::Create, IAM, Types::USER.with(Types::INFO)),
            "revoke" => meaning(Class::Entity, Activity::Delete, IAM, Types::USER.with(Types::DELETION)),
            _ => CALL,
        },
        "admin" => admin(kind, name),
        "groups" | "groups_enterprise" => match name {
            "add_user" | "add_member" | "join" | "accept_invitation" | "approve_join_request" => {
                group(Activity::Add, GROUP_AND_CHANGE)
            }
            "remove_user" | "remove_member" | "leave" | "ban_user_with_moderation" => {
                group(Activity::Remove, GROUP_AND_CHANGE)
            }
            "create_group" => group(Activity::Create, Types::GROUP.with(Types::CREATION)),
            "delete_group" => group(Activity::Delete, Types::GROUP.with(Types::DELETION)),
            "add_member_role" => group(Activity::Grant, GROUP_AND_CHANGE),
            "remove_member_role" => group(Activity::Revoke, GROUP_AND_CHANGE),
            _ => GROUP_CHANGE,
        },
        "drive" => match name {
            "create" => file(Activity::Create, Types::CREATION),
            "upload" => file(Activity::Upload, Types::CREATION),
            "copy" | "source_copy" => file(Activity::Copy, Types::CREATION),
            "delete" | "trash" => file(Activity::Delete, Types::DELETION),
            "edit" => file(Activity::Update, Types::CHANGE),
            "move" => file(Activity::Move, Types::CHANGE),
            "rename" => file(Activity::Rename, Types::CHANGE),
            "untrash" => file(Activity::Restore, Types::CHANGE),
            "download" => file(Activity::Download, Types::ACCESS),
            "preview" => file(Activity::Preview, Types::ACCESS),
            _ if kind == "acl_change" || name.starts_with("change_") => file(Activity::Share, Types::CHANGE),
            _ => file(Activity::Read, Types::ACCESS),
        },
        "context_aware_access" => JUDGED,
        "mobile" if name.contains("COMPROMISED") || name.contains("SUSPICIOUS") => {
            Meaning { categories: DEVICE.categories.with(INTRUSION), ..FINDING }
        }
        "mobile" => DEVICE,
        "gmail" => MAIL,
        _ => NOTHING,
    }
}

fn sign_in(application: &str, name: &str) -> Meaning {
    match name {
        "login_success" | "login_failure" => LOGON,
        "logout" => LOGOFF,
        "login_challenge" | "login_verification" => STEP,
        "risky_sensitive_action_allowed" | "risky_sensitive_action_blocked" => JUDGED,
        "gov_attack_warning" | "user_signed_out_due_to_suspicious_session_cookie" => WARNING,
        "2sv_enroll" | "titanium_enroll" | "passkey_enrolled" => {
            account(Activity::FactorEnable, USER_AND_CHANGE)
        }
        "2sv_disable" | "titanium_unenroll" | "passkey_removed" => {
            account(Activity::FactorDisable, USER_AND_CHANGE)
        }
        "password_edit" => account(Activity::PasswordChange, USER_AND_CHANGE),
        "email_forwarding_out_of_domain" => meaning(
            Class::Entity,
            Activity::Update,
            CONFIG.with(Categories::EMAIL),
            Types::CHANGE.with(Types::INFO),
        ),
        "blocked_sender" => MAIL,
        _ if name.starts_with("suspicious_") => WARNING,
        _ if name.starts_with("account_disabled_") => LOCKED_OUT,
        _ if name.starts_with("recovery_") || application == "user_accounts" => USER_CHANGE,
        _ => SIGN_IN,
    }
}

fn admin(kind: &str, name: &str) -> Meaning {
    match name {
        "CREATE_USER" => account(Activity::Create, Types::USER.with(Types::CREATION)),
        "DELETE_USER" => account(Activity::Delete, Types::USER.with(Types::DELETION)),
        "SUSPEND_USER" => account(Activity::Disable, USER_AND_CHANGE),
        "UNSUSPEND_USER" => account(Activity::Enable, USER_AND_CHANGE),
        "CHANGE_PASSWORD" | "CHANGE_PASSWORD_ON_NEXT_LOGIN" => {
            account(Activity::PasswordReset, USER_AND_CHANGE)
        }
        "TURN_OFF_2_STEP_VERIFICATION" | "REVOKE_SECURITY_KEY" => {
            account(Activity::FactorDisable, USER_AND_CHANGE)
        }
        "DELETE_2SV_SCRATCH_CODES" => account(Activity::FactorDisable, Types::USER.with(Types::DELETION)),
        "GENERATE_2SV_SCRATCH_CODES" => account(Activity::FactorEnable, USER_AND_CHANGE),
        "GRANT_ADMIN_PRIVILEGE" | "GRANT_DELEGATED_ADMIN_PRIVILEGES" | "ASSIGN_ROLE" => {
            access(Activity::Grant)
        }
        "REVOKE_ADMIN_PRIVILEGE" | "UNASSIGN_ROLE" => access(Activity::Revoke),
        "CREATE_GROUP" => group(Activity::Create, Types::GROUP.with(Types::CREATION)),
        "DELETE_GROUP" => group(Activity::Delete, Types::GROUP.with(Types::DELETION)),
        "ADD_GROUP_MEMBER" => group(Activity::Add, GROUP_AND_CHANGE),
        "REMOVE_GROUP_MEMBER" => group(Activity::Remove, GROUP_AND_CHANGE),
        _ => match kind {
            "USER_SETTINGS" => USER_CHANGE,
            "GROUP_SETTINGS" => GROUP_CHANGE,
            "DELEGATED_ADMIN_SETTINGS" => access(Activity::Update),
            _ if name.starts_with("CREATE_") || name.starts_with("ADD_") => {
                entity(Activity::Create, Types::CREATION.with(Types::CHANGE))
            }
            _ if name.starts_with("DELETE_") || name.starts_with("REMOVE_") => {
                entity(Activity::Delete, Types::DELETION)
            }
            _ => CONFIG_CHANGE,
        },
    }
}
