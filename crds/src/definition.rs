//! The definition of a kind as the API server is told, and as YAML.

use crate::schema::SchemaError;
use crate::{GROUP, VERSION, pipeline, savepoint, scaling, window};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceScale,
    CustomResourceSubresourceStatus, CustomResourceSubresources, CustomResourceValidation, JSON,
    JSONSchemaProps, ValidationRule,
};
use kube::core::ObjectMeta;
use std::collections::BTreeMap;

/// The category by which `kubectl get streaming` finds all kinds.
pub const CATEGORY: &str = "streaming";

/// Everything that makes a kind.
#[derive(Debug)]
pub struct Definition {
    /// Name of the kind.
    pub kind: &'static str,
    /// Name in paths.
    pub plural: &'static str,
    /// Name on the command line.
    pub singular: &'static str,
    /// Short name on the command line.
    pub short_name: &'static str,
    /// What the kind is for.
    pub description: &'static str,
    /// Schema of `spec`.
    pub(crate) spec: fn() -> Result<JSONSchemaProps, SchemaError>,
    /// Schema of `status`.
    pub(crate) status: fn() -> Result<JSONSchemaProps, SchemaError>,
    /// Columns of `kubectl get`.
    pub columns: &'static [Column],
    /// Paths of the scale subresource.
    pub scale: Option<Scale>,
    /// Rules about the whole object.
    pub rules: &'static [Rule],
}

/// A column of `kubectl get`.
#[derive(Debug)]
pub struct Column {
    /// Head of the column.
    pub name: &'static str,
    /// Type by which it is printed.
    pub kind: &'static str,
    /// Where the value is.
    pub path: &'static str,
    /// 0 is always shown, 1 only with `-o wide`.
    pub priority: i32,
}

impl Column {
    pub(crate) const fn new(name: &'static str, kind: &'static str, path: &'static str) -> Self {
        Self { name, kind, path, priority: 0 }
    }

    pub(crate) const fn wide(name: &'static str, kind: &'static str, path: &'static str) -> Self {
        Self { name, kind, path, priority: 1 }
    }
}

/// Paths of the scale subresource.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Where the wanted number is.
    pub spec_replicas: &'static str,
    /// Where the number of pods is.
    pub status_replicas: &'static str,
    /// Where the selector of the pods is, as text.
    pub selector: &'static str,
}

/// A CEL rule about the whole object.
#[derive(Debug)]
pub struct Rule {
    /// The rule.
    pub rule: &'static str,
    /// What must be.
    pub message: &'static str,
}

/// A definition that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The schema of a type.
    #[error("failed to make the schema of {0}")]
    Schema(&'static str, #[source] SchemaError),
    /// The YAML of the definition.
    #[error("failed to write the YAML of {0}")]
    Yaml(&'static str, #[source] serde_saphyr::ser_error::Error),
}

/// All kinds.
pub fn all() -> [&'static Definition; 4] {
    [&pipeline::DEFINITION, &window::DEFINITION, &scaling::DEFINITION, &savepoint::DEFINITION]
}

/// The definition as YAML, with a first line that says where it comes from.
pub fn yaml(definition: &Definition) -> Result<String, DefinitionError> {
    let text = serde_saphyr::to_string(&definition.resource()?)
        .map_err(|source| DefinitionError::Yaml(definition.kind, source))?;
    Ok(format!("# Generated from crds/src by `make generate`; do not edit.\n{text}"))
}

impl Definition {
    /// Name of the definition, and of its file without the ending.
    pub fn name(&self) -> String {
        format!("{}.{GROUP}", self.plural)
    }

    /// The object that `kubectl apply` takes.
    pub fn resource(&self) -> Result<CustomResourceDefinition, DefinitionError> {
        Ok(CustomResourceDefinition {
            metadata: ObjectMeta { name: Some(self.name()), ..ObjectMeta::default() },
            spec: CustomResourceDefinitionSpec {
                group: GROUP.to_owned(),
                scope: "Namespaced".to_owned(),
                names: CustomResourceDefinitionNames {
                    kind: self.kind.to_owned(),
                    list_kind: Some(format!("{}List", self.kind)),
                    plural: self.plural.to_owned(),
                    singular: Some(self.singular.to_owned()),
                    short_names: Some(vec![self.short_name.to_owned()]),
                    categories: Some(vec![CATEGORY.to_owned()]),
                },
                versions: vec![self.version()?],
                ..CustomResourceDefinitionSpec::default()
            },
            status: None,
        })
    }

    fn version(&self) -> Result<CustomResourceDefinitionVersion, DefinitionError> {
        Ok(CustomResourceDefinitionVersion {
            name: VERSION.to_owned(),
            served: true,
            storage: true,
            schema: Some(CustomResourceValidation { open_api_v3_schema: Some(self.root()?) }),
            subresources: Some(CustomResourceSubresources {
                status: Some(CustomResourceSubresourceStatus(serde_json::json!({}))),
                scale: self.scale.map(|scale| CustomResourceSubresourceScale {
                    spec_replicas_path: scale.spec_replicas.to_owned(),
                    status_replicas_path: scale.status_replicas.to_owned(),
                    label_selector_path: Some(scale.selector.to_owned()),
                }),
            }),
            additional_printer_columns: Some(self.columns.iter().map(column).collect()),
            ..CustomResourceDefinitionVersion::default()
        })
    }

    /// The schema of the whole object. A status that nobody wrote yet says `observedGeneration: -1`, so that kstatus
    /// does not take an object that the operator has not seen for a finished one.
    pub(crate) fn root(&self) -> Result<JSONSchemaProps, DefinitionError> {
        let spec = (self.spec)().map_err(|source| DefinitionError::Schema(self.kind, source))?;
        let mut status = (self.status)().map_err(|source| DefinitionError::Schema(self.kind, source))?;
        status.default = Some(JSON(serde_json::json!({"observedGeneration": -1})));
        let rules = self.rules.iter().map(|rule| ValidationRule {
            rule: rule.rule.to_owned(),
            message: Some(rule.message.to_owned()),
            ..ValidationRule::default()
        });
        Ok(JSONSchemaProps {
            type_: Some("object".to_owned()),
            description: Some(self.description.to_owned()),
            required: Some(vec!["spec".to_owned()]),
            properties: Some(BTreeMap::from([
                (
                    "apiVersion".to_owned(),
                    text("Version of the API that this object is written in, `weir.dev/v1alpha1`."),
                ),
                ("kind".to_owned(), text("The kind of this object, written in CamelCase.")),
                (
                    "metadata".to_owned(),
                    JSONSchemaProps { type_: Some("object".to_owned()), ..JSONSchemaProps::default() },
                ),
                ("spec".to_owned(), spec),
                ("status".to_owned(), status),
            ])),
            x_kubernetes_validations: Some(rules.collect::<Vec<_>>()).filter(|rules| !rules.is_empty()),
            ..JSONSchemaProps::default()
        })
    }
}

fn column(column: &Column) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: column.name.to_owned(),
        type_: column.kind.to_owned(),
        json_path: column.path.to_owned(),
        priority: Some(column.priority).filter(|priority| *priority != 0),
        ..CustomResourceColumnDefinition::default()
    }
}

fn text(description: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some("string".to_owned()),
        description: Some(description.to_owned()),
        ..JSONSchemaProps::default()
    }
}
