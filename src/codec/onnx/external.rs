//! Tensors that a model keeps in files beside it, as PyTorch's exporter does by default. A file is named by the
//! model, which may be hostile: only what lies in the model's own folder is opened.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::rc::Rc;

use super::error::ImportError;
use super::proto::TensorProto;

/// Opens a file of the model's folder by its name and gives its whole content.
pub type Open<'a> = dyn Fn(&Path) -> Result<Vec<u8>, String> + 'a;

/// `data_location` of a tensor that lies elsewhere.
const EXTERNAL: i32 = 1;

/// The files beside a model, each read once.
pub(super) struct External<'a> {
    open: Option<&'a Open<'a>>,
    files: RefCell<BTreeMap<String, Rc<Vec<u8>>>>,
}

impl<'a> External<'a> {
    pub(super) fn new(open: Option<&'a Open<'a>>) -> Self {
        Self { open, files: RefCell::default() }
    }

    /// The raw bytes of a tensor, wherever they lie; none where its numbers are listed.
    pub(super) fn bytes<'t>(&self, proto: &'t TensorProto) -> Result<Cow<'t, [u8]>, ImportError> {
        match proto.data_location {
            0 if proto.external_data.is_empty() => Ok(Cow::Borrowed(&proto.raw_data)),
            EXTERNAL if proto.raw_data.is_empty() => self.part(proto).map(Cow::Owned),
            _ => Err(fail(proto, "it says both that it is stored here and that it is stored elsewhere")),
        }
    }

    /// Every file that was read, by name.
    pub(super) fn files(self) -> BTreeMap<String, Rc<Vec<u8>>> {
        self.files.into_inner()
    }

    fn part(&self, proto: &TensorProto) -> Result<Vec<u8>, ImportError> {
        let (mut location, mut offset, mut length) = (None, 0, None);
        for entry in &proto.external_data {
            let number = || entry.value.parse::<usize>().map_err(|_| fail(proto, "its place is not a number"));
            match entry.key.as_str() {
                "location" => location = Some(entry.value.as_str()),
                "offset" => offset = number()?,
                "length" => length = Some(number()?),
                // Of the file; requant's manifest pins its SHA-256.
                "checksum" => {}
                other => return Err(fail(proto, &format!("`{other}` of its place is not understood"))),
            }
        }
        let location = location.ok_or_else(|| fail(proto, "it is stored elsewhere, and does not say where"))?;
        let file = self.file(proto, location)?;
        let end = length.map_or(Some(file.len()), |length| offset.checked_add(length));
        let part = end.and_then(|end| file.get(offset..end));
        part.map(<[u8]>::to_vec).ok_or_else(|| {
            let reason = format!("it has {} bytes, and the tensor ends beyond them", file.len());
            ImportError::Beside { name: proto.name.clone(), location: location.to_owned(), reason }
        })
    }

    fn file(&self, proto: &TensorProto, location: &str) -> Result<Rc<Vec<u8>>, ImportError> {
        if let Some(known) = self.files.borrow().get(location) {
            return Ok(Rc::clone(known));
        }
        let path = Path::new(location);
        if location.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(ImportError::Outside { name: proto.name.clone(), location: location.to_owned() });
        }
        let open = self.open.ok_or_else(|| ImportError::External { name: proto.name.clone() })?;
        let (name, location) = (proto.name.clone(), location.to_owned());
        let content = open(path).map_err(|reason| ImportError::Beside { name, location: location.clone(), reason })?;
        let content = Rc::new(content);
        self.files.borrow_mut().insert(location, Rc::clone(&content));
        Ok(content)
    }
}

fn fail(proto: &TensorProto, reason: &str) -> ImportError {
    ImportError::Tensor { name: proto.name.clone(), reason: reason.to_owned() }
}
