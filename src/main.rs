//! The `kpath` program: parse, run, exit code.

fn main() -> std::process::ExitCode {
    kpath::cli::main()
}
