//! Questions with an image.

/// What is answered to a question with images: nothing about what they show.
pub(super) fn answer(images: usize, query: &str) -> String {
    let them = match images {
        1 => "The image that came with it was",
        _ => "The images that came with it were",
    };
    let words = query.split_whitespace().count();
    format!(
        "This is a simulation, and it cannot see. {them} received and not looked at, so there is no answer \
         to the question, which has {words} words. A model that sees is needed here."
    )
}
