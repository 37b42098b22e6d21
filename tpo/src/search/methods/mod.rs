//! Methods of the literature, each written with the public parts of a search.

mod resample;

pub use self::resample::Resample;
