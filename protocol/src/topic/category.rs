//! Categories: what an answer, and an ad, can be about.

use std::{fmt, str::FromStr};

/// What an answer, and an ad, can be about. `docs/ads.md` lists them for advertisers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Computers, software, programming, phones.
    Technology,
    /// Banks, saving, investing, insurance, taxes.
    Finance,
    /// Vitamins, care, fitness: what is sold without a diagnosis.
    HealthProducts,
    /// Films, music, games, books.
    Entertainment,
    /// Learning, courses, languages, science.
    Education,
    /// Flights, hotels, places.
    Travel,
    /// Cooking, recipes, restaurants.
    Food,
    /// Furniture, garden, tools, pets.
    Home,
    /// Teams, training, outdoors.
    Sports,
    /// Clothes, shoes, beauty.
    Fashion,
    /// Cars, bicycles, charging.
    Automotive,
    /// Work, marketing, founding a company.
    Business,
}

/// Why a text is no category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a category is technology, finance, health_products, entertainment, education, travel, food, home, \
     sports, fashion, automotive or business"
)]
pub struct BadCategory;

impl Category {
    /// Every category.
    pub const ALL: [Category; 12] = [
        Category::Technology,
        Category::Finance,
        Category::HealthProducts,
        Category::Entertainment,
        Category::Education,
        Category::Travel,
        Category::Food,
        Category::Home,
        Category::Sports,
        Category::Fashion,
        Category::Automotive,
        Category::Business,
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Category::Technology => "technology",
            Category::Finance => "finance",
            Category::HealthProducts => "health_products",
            Category::Entertainment => "entertainment",
            Category::Education => "education",
            Category::Travel => "travel",
            Category::Food => "food",
            Category::Home => "home",
            Category::Sports => "sports",
            Category::Fashion => "fashion",
            Category::Automotive => "automotive",
            Category::Business => "business",
        }
    }

    /// Returns its place in [`Category::ALL`].
    pub const fn place(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Category {
    type Err = BadCategory;

    fn from_str(text: &str) -> Result<Category, BadCategory> {
        Category::ALL.into_iter().find(|category| category.name() == text).ok_or(BadCategory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_print_and_read_back_and_know_their_place() {
        for (place, category) in Category::ALL.into_iter().enumerate() {
            assert_eq!(category.to_string().parse(), Ok(category));
            assert_eq!(category.place(), place);
        }
        assert_eq!("politics".parse::<Category>(), Err(BadCategory));
    }
}
