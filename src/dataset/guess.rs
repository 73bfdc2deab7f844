//! What a path that nobody has described yet seems to hold.

use std::path::Path;

use super::{DatasetError, image_folder};
use crate::container::Container;
use crate::manifest::DatasetFormat;
use crate::picture::decode;

/// The format that the file names point to.
pub fn format(path: &Path) -> Result<DatasetFormat, DatasetError> {
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
        return Ok(DatasetFormat::Csv);
    }
    let container = Container::open(path)?;
    let has = |ending: &str| container.names().iter().any(|name| name.trim_end_matches(".gz").ends_with(ending));
    if has("data_batch_1.bin") || has("test_batch.bin") {
        Ok(DatasetFormat::Cifar10)
    } else if has("fine_label_names.txt") || (has("train.bin") && has("test.bin")) {
        Ok(DatasetFormat::Cifar100)
    } else if has("-images-idx3-ubyte") || has("-images.idx3-ubyte") {
        Ok(DatasetFormat::Idx)
    } else if container.names().iter().any(|name| decode::is_named_so(name)) {
        Ok(DatasetFormat::ImageFolder)
    } else {
        let endings = image_folder::endings_in_folders(container.names());
        Err(if endings.is_empty() {
            DatasetError::NoImages { path: path.to_owned() }
        } else {
            DatasetError::OtherEndings { path: path.to_owned(), endings }
        })
    }
}

/// How many data rows a CSV file has: lines that are not empty, less the header.
pub fn csv_rows(path: &Path) -> Result<usize, DatasetError> {
    let content = crate::base::files::read(path)?;
    let lines = content.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
    Ok(lines.saturating_sub(1))
}
