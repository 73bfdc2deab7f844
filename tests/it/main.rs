//! The integration tests that need no libtorch: one binary, one file per subject.

/// Whole runs on one engine, with nothing of libtorch.
mod alone;
/// `requant check`: what it says, and how it ends.
mod checks;
/// What is said of two runs, and laws of every pair.
mod diffs;
/// `requant fetch` from servers that cut, lie, stall and go in circles.
mod fetches;
/// Networks that are judged by their outputs.
mod fidelity;
/// The rooms import downwards only.
mod floors;
/// Every data format, and that archives are the folders they were made of.
mod formats;
/// A hundred thousand manifests that nobody meant.
mod fuzz;
/// What a new operator touches.
mod growth;
/// Cut and damaged model files are refused, never a panic.
mod hostile_models;
/// What is told of models, data, archives, lists and templates that are wrong.
mod inputs;
/// Constants that are folded while a file is read.
mod integers;
/// What a wrong manifest is told, and how layers become one.
mod manifests;
/// `requant pin`, and that anyone can recompute what it writes.
mod pins;
/// Pixels of every kind of file against Pillow's, and damaged files.
mod pixels;
/// Resizing, cropping and normalizing against torchvision's own.
mod preprocessing;
/// The committed reference run: its digests, and its report rendered anew.
mod reference_run;
/// `requant new` for models and data never seen.
mod scaffolds;
/// Grids of experiments: their points, what is wrong with them, and that nothing is lost or run twice.
mod sweeps;
/// `requant verify`: a run tampered with in every file.
mod verifies;
