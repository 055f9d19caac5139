//! What each activity of the directory's audit log is.
//!
//! The names are an open set that Microsoft compiles nowhere: those that matter for MFA and accounts are listed, the rest
//! is read by its category and operation.

use tidegate_core::event::{Activity, Categories, Class, Deed, Said, Types, lower_case};

/// What an activity is.
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
    /// Somebody said that a request for a factor was not their own.
    pub alert: bool,
}

const fn meaning(class: Class, activity: Activity) -> Meaning {
    let (categories, who) = match class {
        Class::Account => (Categories::IAM, Types::USER),
        Class::Group => (Categories::IAM, Types::GROUP),
        Class::Access => (Categories::IAM, Types::ADMIN),
        Class::Entity => (Categories::CONFIGURATION, Types::empty()),
        _ => (Categories::empty(), Types::empty()),
    };
    let how = match activity {
        Activity::Create => Types::CREATION,
        Activity::Delete => Types::DELETION,
        Activity::Read => Types::ACCESS,
        _ => Types::CHANGE,
    };
    // `iam` knows no access, and what is of no category has no type.
    let types = match (class, activity) {
        (Class::Other, _) => Types::empty(),
        (Class::Account | Class::Group | Class::Access, Activity::Read) => who.with(Types::INFO),
        _ => who.with(how),
    };
    Meaning { class, activity, categories, types, alert: false }
}

/// A report of fraud; whether it locks the user out is a setting of the directory.
const fn fraud(activity: Activity) -> Meaning {
    let account = meaning(Class::Account, activity);
    Meaning {
        categories: account.categories.with(Categories::INTRUSION_DETECTION),
        types: account.types.with(Types::INFO),
        alert: true,
        ..account
    }
}

/// Activities by their names, in lower case and sorted; what is done with a factor, where it is about one.
pub const ACTIVITIES: &[(&str, Class, Activity, Option<Deed>)] = &[
    ("admin deleted security info", Class::Account, Activity::FactorDisable, Some(Deed::Remove)),
    ("admin registered security info", Class::Account, Activity::FactorEnable, Some(Deed::Enroll)),
    ("admin updated security info", Class::Account, Activity::Update, Some(Deed::Update)),
    ("authentication methods policy reset", Class::Entity, Activity::Update, Some(Deed::Update)),
    ("authentication methods policy update", Class::Entity, Activity::Update, Some(Deed::Update)),
    ("change password (self-service)", Class::Account, Activity::PasswordChange, None),
    ("change user password", Class::Account, Activity::PasswordChange, None),
    (
        "create temporary access pass method for user",
        Class::Account,
        Activity::FactorEnable,
        Some(Deed::Enroll),
    ),
    ("delete user", Class::Account, Activity::Delete, None),
    ("disable account", Class::Account, Activity::Disable, None),
    ("disable strong authentication", Class::Account, Activity::FactorDisable, Some(Deed::Reset)),
    ("enable account", Class::Account, Activity::Enable, None),
    ("enable strong authentication", Class::Account, Activity::FactorEnable, Some(Deed::Enroll)),
    ("hard delete user", Class::Account, Activity::Delete, None),
    ("invite external user", Class::Account, Activity::Create, None),
    ("reset password (by admin)", Class::Account, Activity::PasswordReset, None),
    ("reset password (self-service)", Class::Account, Activity::PasswordReset, None),
    ("reset user password", Class::Account, Activity::PasswordReset, None),
    ("restore user", Class::Account, Activity::Enable, None),
    ("unlock user account (self-service)", Class::Account, Activity::Unlock, None),
    ("user changed default security info", Class::Account, Activity::Update, Some(Deed::Update)),
    ("user deleted security info", Class::Account, Activity::FactorDisable, Some(Deed::Remove)),
    (
        "user registered all required security info",
        Class::Account,
        Activity::FactorEnable,
        Some(Deed::Enroll),
    ),
    ("user registered security info", Class::Account, Activity::FactorEnable, Some(Deed::Enroll)),
];

/// What an activity is, and what it does with a factor.
#[must_use]
pub fn find(name: &str, category: &str, operation: &str) -> (Meaning, Option<Deed>) {
    let name: &str = &lower_case(name.trim());
    if let Ok(at) = ACTIVITIES.binary_search_by(|(known, ..)| (*known).cmp(name))
        && let Some((_, class, activity, deed)) = ACTIVITIES.get(at)
    {
        return (meaning(*class, *activity), *deed);
    }
    let said = Said::new(name);
    if name.starts_with("fraud reported") {
        return (fraud(if said.has("blocked") { Activity::Lock } else { Activity::Other }), None);
    }
    if let Some((activity, deed)) = with_factor(name, said) {
        return (meaning(Class::Account, activity), Some(deed));
    }
    let class = class(said, category);
    (meaning(class, activity(name, said, operation, class)), None)
}

/// What a name says that was done with a user's factor, where it is about one. What was only begun, cancelled or reviewed is
/// a change: nothing was added or taken away.
fn with_factor(name: &str, said: Said<'_>) -> Option<(Activity, Deed)> {
    let words = ["security key", "passkey", "windows hello", "passwordless", "security info"];
    if said.has("policy") || !said.has_any(&words) {
        return None;
    }
    let verb = name.split_ascii_whitespace().find(|word| !matches!(*word, "user" | "admin"))?;
    Some(match verb {
        "add" | "added" | "create" | "created" | "register" | "registered" => {
            (Activity::FactorEnable, Deed::Enroll)
        }
        "delete" | "deleted" | "remove" | "removed" => (Activity::FactorDisable, Deed::Remove),
        _ => (Activity::Update, Deed::Update),
    })
}

/// The name goes before the category: members of groups are also added under `UserManagement`.
fn class(name: Said<'_>, category: &str) -> Class {
    if name.has_any(&["member to role", "member from role", "role assignment"]) {
        return Class::Access;
    }
    if name.has("group") && name.has_any(&["member", "owner"]) {
        return Class::Group;
    }
    match category {
        "UserManagement" => Class::Account,
        "GroupManagement" => Class::Group,
        "RoleManagement" | "EntitlementManagement" => Class::Access,
        "" => Class::Other,
        _ => Class::Entity,
    }
}

/// The operation, or the name's first word where there is none or one that nobody knows. Of roles the name goes first: the
/// service for privileged identities has operations of its own, and calls much that it does an update.
fn activity(name: &str, said: Said<'_>, operation: &str, class: Class) -> Activity {
    let first = name.split_ascii_whitespace().next().unwrap_or_default();
    let operation: &str = &lower_case(operation);
    if class == Class::Access && said.has_any(&["requested", "request denied", "request approved"]) {
        // Asked for, and not given yet.
        return Activity::Update;
    }
    let (one, other) = match class {
        Class::Access => (first, operation),
        _ => (operation, first),
    };
    verb(one, said, class).or_else(|| verb(other, said, class)).unwrap_or_default()
}

fn verb(word: &str, said: Said<'_>, class: Class) -> Option<Activity> {
    let inside = said.has_any(&["member", "owner", "assignment"]);
    Some(match (word, class) {
        ("assign", Class::Access) => Activity::Grant,
        ("unassign", Class::Access) => Activity::Revoke,
        ("add" | "create", Class::Access) if inside => Activity::Grant,
        ("remove" | "delete", Class::Access) if inside => Activity::Revoke,
        ("add" | "assign", Class::Group) if inside => Activity::Add,
        ("remove" | "delete" | "unassign", Class::Group) if inside => Activity::Remove,
        ("add" | "create" | "invite" | "register", _) => Activity::Create,
        ("delete" | "remove" | "hard", _) => Activity::Delete,
        ("get" | "read" | "recover" | "list" | "download", _) => Activity::Read,
        ("enable", _) => Activity::Enable,
        ("disable", _) => Activity::Disable,
        ("assign" | "unassign" | "update" | "set" | "change" | "consent", _) => Activity::Update,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_activities_are_found_whatever_their_capitals() {
        assert!(ACTIVITIES.is_sorted_by_key(|(name, ..)| *name));
        assert!(ACTIVITIES.iter().all(|(name, ..)| *name == name.to_lowercase()));
        let (meaning, deed) = find("User registered security info ", "UserManagement", "Add");
        assert_eq!((meaning.class, meaning.activity), (Class::Account, Activity::FactorEnable));
        assert_eq!(deed, Some(Deed::Enroll));
        assert_eq!(meaning.types, Types::USER.with(Types::CHANGE));
    }

    #[test]
    fn others_are_read_by_name_category_and_operation() {
        for (name, category, operation, class, activity) in [
            ("Add user", "UserManagement", "Add", Class::Account, Activity::Create),
            ("Update user", "UserManagement", "Update", Class::Account, Activity::Update),
            ("Add member to group", "UserManagement", "", Class::Group, Activity::Add),
            ("Remove member from group", "GroupManagement", "Unassign", Class::Group, Activity::Remove),
            ("Delete group", "GroupManagement", "Delete", Class::Group, Activity::Delete),
            ("Add member to role", "RoleManagement", "Assign", Class::Access, Activity::Grant),
            ("Remove member from role", "RoleManagement", "Unassign", Class::Access, Activity::Revoke),
            ("Update conditional access policy", "Policy", "Update", Class::Entity, Activity::Update),
            ("Add device", "Device", "Add", Class::Entity, Activity::Create),
            (
                "Add member to role completed (PIM activation)",
                "RoleManagement",
                "ActivateRole",
                Class::Access,
                Activity::Grant,
            ),
            (
                "Add member to role in PIM completed (permanent)",
                "RoleManagement",
                "Update",
                Class::Access,
                Activity::Grant,
            ),
            (
                "Add eligible member to role in PIM completed (timebound)",
                "RoleManagement",
                "AssignEligibleRole",
                Class::Access,
                Activity::Grant,
            ),
            (
                "Create role assignment schedule request",
                "RoleManagement",
                "CreateRequest",
                Class::Access,
                Activity::Grant,
            ),
            (
                "Remove member from role (PIM activation expired)",
                "RoleManagement",
                "DeactivateRole",
                Class::Access,
                Activity::Revoke,
            ),
            (
                "Remove eligible member from role in PIM completed (permanent)",
                "RoleManagement",
                "",
                Class::Access,
                Activity::Revoke,
            ),
            // Asked for, not given.
            (
                "Add member to role requested (PIM activation)",
                "RoleManagement",
                "CreateRequestSelf",
                Class::Access,
                Activity::Update,
            ),
            (
                "Add member to role request denied (PIM activation)",
                "RoleManagement",
                "Deny",
                Class::Access,
                Activity::Update,
            ),
            ("Update role setting in PIM", "RoleManagement", "Update", Class::Access, Activity::Update),
            ("Add role definition", "RoleManagement", "Add", Class::Access, Activity::Create),
            ("Something new", "SomethingNew", "Frobnicate", Class::Entity, Activity::Other),
            ("", "", "", Class::Other, Activity::Other),
        ] {
            let (meaning, deed) = find(name, category, operation);
            assert_eq!((meaning.class, meaning.activity, deed), (class, activity, None), "{name}");
        }
        assert!(find("", "", "").0.categories.is_empty());
    }
}
