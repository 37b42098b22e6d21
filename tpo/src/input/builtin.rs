//! A handful of queries to try a search on.

/// Queries for a first look, without any file.
pub const BUILTIN: [&str; 8] = [
    "Why does bread rise, and what happens if I leave the yeast out?",
    "How do I repot a houseplant without hurting its roots?",
    "Explain the difference between weather and climate to a ten-year-old.",
    "Write a short, polite email asking a neighbour to keep the music down at night.",
    "What are some good ways to remember people's names?",
    "Should I learn the piano or the guitar first?",
    "How long does it take to walk from one end of Portugal to the other?",
    "Suggest three names for a small bakery near the sea.",
];
