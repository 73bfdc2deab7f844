//! What this machine can run, and what each missing piece needs.

use crate::backend::{self, Availability, Request};
use crate::manifest::COMBINATIONS;
use crate::record::host::{self, Host};

/// One line of the doctor's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub name: String,
    pub availability: Availability,
}

/// Everything the doctor found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    pub host: Host,
    pub lines: Vec<Line>,
}

/// Probes every combination that a manifest can name.
#[must_use]
pub fn examine() -> Diagnosis {
    let requests = COMBINATIONS.iter().flat_map(|one| {
        one.precisions.iter().flat_map(move |&precision| {
            let request = Request { precision, device: one.device, ..Request::float(one.backend) };
            one.engines.iter().map(move |&engine| Request { engine, ..request })
        })
    });
    let line = |request: Request| {
        let engine = request.engine.map_or_else(String::new, |engine| format!(" {engine}"));
        let name = format!("{} {} {}{engine}", request.backend, request.precision, request.device);
        Line { name, availability: backend::probe(request) }
    };
    Diagnosis { host: host::facts(), lines: requests.map(line).collect() }
}
