//! Many experiments as one: a base and axes over its keys, run here or by a cluster's scheduler, gathered into one
//! table and one page.
//!
//! ```text
//! results/<sweep>/<run-id>/             the points' runs, like those of any experiment
//! results/<sweep>/sweep-<id>/           the sweep: its record, its points, and what became of them
//!     sweep.toml base.toml sweep.json points/00001.toml
//!     attempts/00001.1.json             written by whoever runs a point, before and after
//!     launches/1.json logs/             what was submitted, and what it printed
//!     outcome.json sweep.csv sweep.md   gathered from the runs' records
//! ```
//!
//! A plan (room `grid`) → `folder` → `local` or `slurm`, each of which starts `task`s → `state` → `gather`, which has
//! the room `comparison` write the table and the page.

pub mod attempt;
pub mod estimate;
pub mod folder;
pub mod gather;
pub mod launch;
pub mod local;
pub mod neighbours;
pub mod slurm;
pub mod state;
pub mod task;
pub mod verify;

pub use folder::Folder;
pub use state::State;
