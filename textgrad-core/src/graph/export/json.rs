//! JSON, for other programs.

use serde_json::Value as Json;

use super::GraphView;
use super::data::GraphData;

impl GraphView<'_> {
    /// The graph as JSON, with whatever a person would look for in it.
    ///
    /// | field | |
    /// |---|---|
    /// | `version` | of this format; it goes up when an older reader would misread it |
    /// | `nodes` | in topological order, `id` counting from 0. A `variable` has `role`, `requires_grad`, `value` and, where there is one, `score`; a `call` has `op` and, where an engine was asked, `request`. `class` says what part it plays: `parameter`, `input`, `value`, `output`, `loss`, `feedback`, `update`, `model`, `function` |
    /// | `edges` | `argument` from a variable to a call, `output` from a call to a variable |
    /// | `gradients` | what reached which variable, from which call (`consumer`) for which `argument`; empty unless gradients are shown. `words` is the node of the feedback's words if it is in the graph, `request` the request that brought them if it is not. Kind `merged` is what a reduction made of several |
    /// | `updates` | which variable is a new version of which, and what changed by word: pairs of `=`, `-` or `+` and a number of characters (Unicode scalar values), to be read along both texts |
    ///
    /// Texts are whole; of an image, type and size are given. [`Page`](crate::Page) makes a page of it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        GraphData::of(self).to_json()
    }
}
