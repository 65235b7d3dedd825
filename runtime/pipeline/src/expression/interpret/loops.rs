//! Macros: loops over the items of a list, or the keys of a map.

use super::{Row, Variables};
use crate::expression::describe;
use crate::expression::program::{Macro, MacroKind};
use crate::expression::value::{Fault, Val};
use std::rc::Rc;

impl<'a> Row<'a> {
    /// What a macro loops over: the items of a list, the keys of a map.
    fn range(&self, it: &'a Macro, vars: &mut Variables<'a>) -> Result<Rc<Vec<Val<'a>>>, Fault> {
        let range = self.eval(&it.range, vars)?;
        self.charge_for(&range)?;
        if let Some(items) = range.items() {
            return items;
        }
        match range.entries() {
            Some(entries) => Ok(Rc::new(entries?.iter().map(|(key, _)| key.clone()).collect())),
            None => Err(describe::not_list(it.kind.name(), &it.range, &range, self.program)),
        }
    }

    pub(super) fn run(&self, it: &'a Macro, vars: &mut Variables<'a>) -> Result<Val<'a>, Fault> {
        let items = self.range(it, vars)?;
        match it.kind {
            MacroKind::All => self.any(it, &items, false, vars),
            MacroKind::Exists => self.any(it, &items, true, vars),
            MacroKind::ExistsOne => self.select(it, &items, vars).map(|list| Val::Bool(list.len() == 1)),
            MacroKind::Map | MacroKind::Filter => self.select(it, &items, vars).map(Val::list),
        }
    }

    /// `all` and `exists`: the item that decides wins over a fault of another.
    fn any(
        &self,
        it: &'a Macro,
        items: &[Val<'a>],
        decides: bool,
        vars: &mut Variables<'a>,
    ) -> Result<Val<'a>, Fault> {
        let mut fault = None;
        for item in items {
            self.charge(1)?;
            vars[it.variable] = item.clone();
            match it.condition.as_ref().map_or(Ok(true), |condition| self.condition(condition, vars)) {
                Ok(result) if result == decides => return Ok(Val::Bool(decides)),
                Ok(_) => {}
                Err(first) => fault = fault.or(Some(first)),
            }
        }
        fault.map_or(Ok(Val::Bool(!decides)), Err)
    }

    /// The items that fulfil the condition, transformed.
    fn select(
        &self,
        it: &'a Macro,
        items: &[Val<'a>],
        vars: &mut Variables<'a>,
    ) -> Result<Vec<Val<'a>>, Fault> {
        let mut list = Vec::new();
        for item in items {
            self.charge(1)?;
            vars[it.variable] = item.clone();
            if let Some(condition) = &it.condition
                && !self.condition(condition, vars)?
            {
                continue;
            }
            list.push(match &it.transform {
                Some(transform) => self.eval(transform, vars)?,
                None => item.clone(),
            });
        }
        Ok(list)
    }
}
