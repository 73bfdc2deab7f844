//! What a module holds: its tensors, how they are saved, and what is made of them when the archive is loaded.

use std::fmt::Write as _;

use super::{CLASS, Module, fused};
use crate::tensor::{Data, Tensor};

/// Written first into every state, so that a reader can tell what wrote it and no state is empty.
const STATE_FORMAT: i64 = 1;

pub(super) struct State {
    pub(super) tensors: Vec<Tensor>,
    /// `name : type` lines of the class.
    pub(super) attributes: String,
    pub(super) setstate: String,
    pub(super) getstate: String,
    /// Expressions that `__getstate__` returns, in the order of `tensors`.
    pub(super) saved: Vec<String>,
    /// Whether a method calls [`fused::BY_PIXEL`].
    pub(super) by_pixel: bool,
}

impl State {
    pub(super) fn new() -> Self {
        let (attributes, setstate, getstate) = (String::new(), String::new(), String::new());
        let (tensors, saved) = (Vec::new(), Vec::new());
        let mut state = Self { tensors, attributes, setstate, getstate, saved, by_pixel: false };
        if let Ok(format) = Tensor::new(vec![1], Data::I64(vec![STATE_FORMAT])) {
            state.tensor("state_format", format);
        }
        state
    }

    /// Adds a tensor attribute; returns the expression that reads it.
    pub(super) fn tensor(&mut self, name: &str, tensor: Tensor) -> String {
        let slot = self.tensors.len();
        self.tensors.push(tensor);
        let _ = writeln!(self.attributes, "  {name} : Tensor");
        let _ = writeln!(self.setstate, "    self.{name} = (state)[{slot}]");
        self.saved.push(format!("self.{name}"));
        format!("self.{name}")
    }

    /// The class around this state and these methods.
    pub(super) fn module(self, methods: &str) -> Module {
        let state = format!("Tuple[{}]", vec!["Tensor"; self.tensors.len()].join(", "));
        let saved = self.saved.join(", ");
        let comma = if self.saved.len() == 1 { "," } else { "" };
        let called = if self.by_pixel { fused::BY_PIXEL } else { "" };
        let Self { attributes, setstate, getstate, tensors, .. } = self;
        let code = format!(
            "class {CLASS}(Module):\n  __parameters__ = []\n  __buffers__ = []\n{attributes}  training : bool\n  \
             def __setstate__(self: __torch__.{CLASS},\n    state: {state}) -> NoneType:\n{setstate}    self.training = False\n    return None\n  \
             def __getstate__(self: __torch__.{CLASS}) -> {state}:\n{getstate}    return ({saved}{comma})\n{called}{methods}"
        );
        Module { code, tensors }
    }
}
