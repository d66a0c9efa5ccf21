//! Prints `docs/iam.md` as the template has it: `make iam`.

use std::process::ExitCode;

use runnerless_tidy::rights::document;
use runnerless_tidy::template::Template;

fn main() -> ExitCode {
    match document(&Template::both()) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("{}", wrong.join("\n"));
            ExitCode::FAILURE
        }
    }
}
