//! `requant schema`.

use super::{Exit, print};
use crate::manifest;

pub(super) fn schema(markdown: bool) -> Exit {
    if markdown {
        print(&manifest::reference_page());
    } else {
        print(&format!("{:#}\n", manifest::json_schema()));
    }
    Exit::Done
}
