//! Which class an event is written as, and whom and what it is about.

use super::table::{Form, Version};
use crate::event::{Account, Activity, ActorKind, Class, Event, Target, TargetKind};
use crate::json::Text;

/// Whom and what an event is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'e, 'r> {
    /// Whose account, and what is known of its sort.
    pub(super) user: Option<(&'e Account<'r>, ActorKind)>,
    /// Which object.
    pub(super) entity: Option<&'e Target<'r>>,
}

impl<'r> Account<'r> {
    /// Whether it can be a user or an object of a document.
    pub(super) fn is_user(&self) -> bool {
        self.id.is_some() || self.shown().is_some()
    }

    /// What it is best known by.
    pub(super) fn shown(&self) -> Option<&Text<'r>> {
        self.name.as_ref().or(self.email.as_ref()).or(self.full_name.as_ref())
    }
}

/// The first target of a kind.
pub(super) fn first<'e, 'r>(event: &'e Event<'r>, kind: TargetKind) -> Option<&'e Target<'r>> {
    event.targets.iter().find(|target| target.kind == kind && target.account.is_user())
}

/// The user that something was done to: in the directory, or else inside an application.
fn target_user<'e, 'r>(event: &'e Event<'r>) -> Option<&'e Account<'r>> {
    let target = first(event, TargetKind::User).or_else(|| first(event, TargetKind::AppUser))?;
    Some(&target.account)
}

/// Whose sign-in it is: the actor's, unless somebody else acts on a user's session or in a user's stead.
fn signs_in<'e, 'r>(event: &'e Event<'r>) -> Option<(&'e Account<'r>, ActorKind)> {
    let actor = &event.actor;
    let itself = (&actor.account, actor.kind);
    let target = first(event, TargetKind::User).map(|target| (&target.account, ActorKind::User));
    let on_others = matches!(event.kind.activity, Activity::Logoff | Activity::Switch)
        || matches!(actor.kind, ActorKind::System | ActorKind::Service | ActorKind::Address)
        || !actor.account.is_user();
    let found = if on_others { target.unwrap_or(itself) } else { itself };
    Some(found).filter(|(account, _)| account.is_user())
}

/// Whose account was changed: a target's, or the actor's own.
fn changed<'e, 'r>(event: &'e Event<'r>) -> Option<(&'e Account<'r>, ActorKind)> {
    if let Some(account) = target_user(event) {
        return Some((account, ActorKind::User));
    }
    let person = matches!(event.actor.kind, ActorKind::User | ActorKind::Agent | ActorKind::Unknown);
    (person && event.actor.account.is_user()).then_some((&event.actor.account, event.actor.kind))
}

/// The object that was changed: rather one that is nobody's account.
fn object<'e, 'r>(event: &'e Event<'r>) -> Option<&'e Target<'r>> {
    let told = || event.targets.iter().filter(|target| target.account.is_user());
    told()
        .find(|target| !matches!(target.kind, TargetKind::User | TargetKind::AppUser))
        .or_else(|| told().next())
}

/// Whether what a user may do has a name.
fn has_privilege(event: &Event<'_>) -> bool {
    privileges(event).next().is_some()
}

/// What a user may do: roles, or where there is none the application; a second one is whom it was granted to.
pub(super) fn privileges<'e, 'r>(event: &'e Event<'r>) -> impl Iterator<Item = &'e Text<'r>> {
    let any = |kind| first(event, kind).is_some();
    let wanted = if any(TargetKind::Role) { TargetKind::Role } else { TargetKind::App };
    let most = if wanted == TargetKind::App { 1 } else { usize::MAX };
    event.targets.iter().filter(move |target| target.kind == wanted).take(most).filter_map(|target| {
        target.account.full_name.as_ref().or(target.account.name.as_ref()).or(target.account.id.as_ref())
    })
}

impl Form {
    /// The class that an event can be a document of.
    pub(super) fn of(event: &Event<'_>, version: Version) -> Self {
        let group = || first(event, TargetKind::Group).is_some();
        let role = || first(event, TargetKind::Role).is_some();
        match event.kind.class {
            Class::Detection => Self::Finding,
            Class::Authentication => Self::sign_in(event),
            // Privileges or a group, and never both.
            Class::AuthorizeSession if signs_in(event).is_some() && group() != role() => {
                Self::AuthorizeSession
            }
            Class::AuthorizeSession => Self::sign_in(event),
            Class::Account if changed(event).is_some() => Self::Account,
            Class::Account => Self::object_or_call(event),
            Class::Access if target_user(event).is_none() && group() => Self::Group,
            // Who grants is not who is granted something.
            Class::Access if target_user(event).is_none() => Self::object_or_call(event),
            Class::Access if version == Version::V1_9 || has_privilege(event) => Self::Access,
            Class::Access => Self::Entity,
            Class::Group if group() => Self::Group,
            Class::Group => Self::object_or_call(event),
            Class::Entity => Self::Entity,
            Class::File if first(event, TargetKind::File).is_some() => Self::File,
            Class::Api | Class::File | Class::Other => Self::call(event),
        }
    }

    fn sign_in(event: &Event<'_>) -> Self {
        if signs_in(event).is_some() { Self::Authentication } else { Self::call(event) }
    }

    fn object_or_call(event: &Event<'_>) -> Self {
        if object(event).is_some() { Self::Entity } else { Self::call(event) }
    }

    /// A call of something that has at least a name.
    fn call(event: &Event<'_>) -> Self {
        if event.kind.action.is_some() { Self::Api } else { Self::Base }
    }
}

impl<'e, 'r> Subject<'e, 'r> {
    /// What the class asks for.
    pub(super) fn of(event: &'e Event<'r>, form: Form) -> Self {
        let user = match form {
            Form::Authentication | Form::AuthorizeSession => signs_in(event),
            Form::Account => changed(event),
            _ => target_user(event).map(|account| (account, ActorKind::User)),
        };
        let entity = match form {
            Form::Entity => object(event),
            Form::File => first(event, TargetKind::File),
            _ => None,
        };
        Self { user, entity }
    }
}
