//! `Debug` for trait objects, and for types that hold closures.

/// Implements `Debug` by the name of a type, with what tells its values apart.
///
/// `debug_by!(dyn Check, rule)` shows what a method returns, as does `debug_by!(JsonClient, base_url)`;
/// `debug_by!(CheckFn<F> { rule })` shows fields.
#[doc(hidden)]
#[macro_export]
macro_rules! debug_by {
    (dyn $name:ident $(, $method:ident)?) => {
        impl ::std::fmt::Debug for dyn $name + '_ {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_tuple(stringify!($name))$(.field(&self.$method()))?.finish()
            }
        }
    };
    ($name:ident, $method:ident) => {
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field(stringify!($method), &self.$method())
                    .finish_non_exhaustive()
            }
        }
    };
    ($name:ident $(<$parameter:ident>)? { $($field:ident),* }) => {
        impl $(<$parameter>)? ::std::fmt::Debug for $name $(<$parameter>)? {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), &self.$field))*
                    .finish_non_exhaustive()
            }
        }
    };
}
