//! Microsoft Graph and the login of Entra ID, as far as logs need them.
