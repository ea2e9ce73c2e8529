//! What a type says: its fields, whether it is a struct or an enum.

use syn::{Data, DeriveInput, Fields, Ident, Type, visit::Visit};

use super::attr::{self, Options};
use crate::error::Errors;

/// A type to derive for.
pub(crate) struct Input<'a> {
    /// The type.
    pub(crate) item: &'a DeriveInput,
    /// Its options.
    pub(crate) options: Options,
    /// Its fields, of all variants.
    pub(crate) fields: Vec<Field<'a>>,
}

/// A field.
pub(crate) struct Field<'a> {
    /// Its type.
    pub(crate) kind: &'a Type,
    /// Whether its author vouches for it.
    pub(crate) trusted: bool,
}

impl<'a> Input<'a> {
    /// Reads a type; nothing if there can be no code for it.
    pub(crate) fn read(item: &'a DeriveInput, errors: &mut Errors) -> Option<Self> {
        let options = Options::parse(&item.attrs, errors);
        let fields = match &item.data {
            Data::Struct(data) => fields(&data.fields, errors),
            Data::Enum(data) => {
                data.variants.iter().for_each(|variant| attr::refuse(&variant.attrs, errors));
                data.variants.iter().flat_map(|variant| fields(&variant.fields, errors)).collect()
            }
            Data::Union(data) => {
                let message = "a union does not know which of its fields it holds, \
                    so replicas could read it differently";
                errors.at_with_help(data.union_token, message, "use an enum");
                return None;
            }
        };
        Some(Self { item, options, fields })
    }

    /// Returns the type parameters that `kind` mentions.
    pub(crate) fn parameters_of(&self, kind: &Type) -> Vec<&'a Ident> {
        let parameters = self.item.generics.type_params().map(|parameter| &parameter.ident);
        parameters.filter(|parameter| mentions(kind, parameter)).collect()
    }

    /// Returns whether `kind` depends on the type's generics.
    pub(crate) fn is_generic(&self, kind: &Type) -> bool {
        let consts = self.item.generics.const_params().map(|parameter| &parameter.ident);
        !self.parameters_of(kind).is_empty()
            || consts.into_iter().any(|parameter| mentions(kind, parameter))
            || self.item.generics.lifetimes().next().is_some()
    }
}

fn fields<'a>(fields: &'a Fields, errors: &mut Errors) -> Vec<Field<'a>> {
    let read = |field: &'a syn::Field| Field {
        kind: &field.ty,
        trusted: attr::is_trusted(&field.attrs, errors),
    };
    fields.iter().map(read).collect()
}

/// Returns whether `name` stands in `kind`, other than in a `PhantomData`, which holds nothing.
fn mentions(kind: &Type, name: &Ident) -> bool {
    struct Search<'a> {
        name: &'a Ident,
        found: bool,
    }
    impl<'a> Visit<'a> for Search<'_> {
        fn visit_path_segment(&mut self, segment: &'a syn::PathSegment) {
            if segment.ident != "PhantomData" {
                syn::visit::visit_path_segment(self, segment);
            }
        }

        fn visit_ident(&mut self, ident: &'a Ident) {
            self.found |= ident == self.name;
        }
    }
    let mut search = Search { name, found: false };
    search.visit_type(kind);
    search.found
}
