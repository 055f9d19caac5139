//! The stock binary: every connector and sink in the tree, none of somebody else's.
fn main() -> std::process::ExitCode {
    tidegate::main(&[])
}
