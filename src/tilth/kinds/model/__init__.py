"""CREATE MODEL: what is learned from a dataset or a query, and served by name. Its grammar, rules, recipe and planning are modules here."""

from __future__ import annotations

from tilth.kinds.model import deciding, grammar, recipe, rules
from tilth.kinds.spec import KindSpec
from tilth.plan.actions import ShareVersion, TrainModel
from tilth.plan.deciding import Deciding
from tilth.resources.making import Making
from tilth.sql.language.statements import CreateModel, Kind

MODEL = KindSpec(
    Kind.MODEL, CreateModel, grammar.parse, grammar.show,
    Making(rules.check, recipe.needs, recipe.recipe, recipe.renamed, recipe.NUMBER, recipe.before, over=recipe.over),
    Deciding(deciding.decide, (TrainModel, ShareVersion), deciding.silent),
)  # fmt: skip
