//! `survey opt-out`.

use std::io::Write;

use starttls_survey::opt_out::OptOutList;

use super::failed;
use crate::args::OptOutCommand;
use crate::error::Failed;
use crate::exit;

pub(super) fn run(command: OptOutCommand) -> Result<u8, Failed> {
    match command {
        OptOutCommand::Add { file, entries } => {
            let mut list = OptOutList::read(&file).map_err(failed)?;
            for entry in entries {
                list.insert(entry);
            }
            list.write(&file).map_err(failed)?;
        }
        OptOutCommand::Remove { file, entries } => {
            let mut list = OptOutList::read(&file).map_err(failed)?;
            for entry in &entries {
                if !list.remove(entry) {
                    let hint = Some(String::from("starttls survey opt-out list shows the entries"));
                    return Err(Failed::usage(format!("{entry} is not in {}", file.display())).hint(hint));
                }
            }
            list.write(&file).map_err(failed)?;
        }
        OptOutCommand::List { file } => {
            let list = OptOutList::read(&file).map_err(failed)?;
            let mut out = std::io::stdout().lock();
            list.entries().try_for_each(|it| writeln!(out, "{it}"))?;
        }
    }
    Ok(exit::DONE)
}
