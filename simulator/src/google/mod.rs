//! The Reports API and the Alert Center of Google Workspace, with the token endpoint of service accounts.
