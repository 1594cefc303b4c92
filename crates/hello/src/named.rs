//! Enums whose variants have a fixed spelling.

/// Defines an enum with `ALL`, `name` and `Display`.
macro_rules! named {
    ($(#[$meta:meta])* $vis:vis enum $ident:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $ident { $($(#[$doc])* $variant,)* }

        impl $ident {
            /// All values, in their order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the value's spelling in reports and data files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl std::fmt::Display for $ident {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

pub(crate) use named;
