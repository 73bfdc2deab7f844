//! `requant schema`.

use crate::manifest;
use crate::terminal::{Exit, print};

pub(super) fn schema(markdown: bool) -> Exit {
    if markdown {
        print(&manifest::reference_page());
    } else {
        print(&format!("{:#}\n", manifest::json_schema()));
    }
    Exit::Done
}
