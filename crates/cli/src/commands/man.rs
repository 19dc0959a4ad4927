//! `leasehold man`: the manual pages.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::args::{Cli, ManArgs};
use crate::failure::{Failure, code};

pub(super) fn man(args: ManArgs) -> Result<(), Failure> {
    let command = Cli::command().disable_help_subcommand(true);
    let Some(out) = args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        io::stdout().lock().write_all(&page)?;
        return Ok(());
    };
    let written =
        std::fs::create_dir_all(&out).and_then(|()| clap_mangen::generate_to(command, &out));
    written.map_err(|error| {
        Failure::new(
            code::IO,
            "io",
            format!(
                "cannot write the manual pages to {}: {error}; name a writable directory with --out",
                out.display()
            ),
        )
    })
}
