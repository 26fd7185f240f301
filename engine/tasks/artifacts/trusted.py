"""The classes that an artifact may be made of; every other one is refused.

They are those of the pipelines that Trellis builds, fitted with any estimator of the list in
`engine.config.estimators`; tests compare. skops by itself trusts every estimator of scikit-learn,
among them some that call what their parameters name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from engine.config import ESTIMATORS

_LOSSES: Final = (
    "AbsoluteError",
    "HalfBinomialLoss",
    "HalfGammaLoss",
    "HalfMultinomialLoss",
    "HalfPoissonLoss",
    "HalfSquaredError",
    "PinballLoss",
)
_SCALARS: Final = (
    "bool",
    "float32",
    "float64",
    "int32",
    "int64",
    "intp",
    "uint32",
    "uint64",
    "uint8",
    "str_",
)

_ESTIMATOR_MODULES: Final = {
    "LogisticRegression": "sklearn.linear_model._logistic",
    "GaussianNB": "sklearn.naive_bayes",
    "DecisionTreeClassifier": "sklearn.tree._classes",
    "DecisionTreeRegressor": "sklearn.tree._classes",
    "RandomForestClassifier": "sklearn.ensemble._forest",
    "RandomForestRegressor": "sklearn.ensemble._forest",
    "HistGradientBoostingClassifier": "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
    "HistGradientBoostingRegressor": "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
    "LinearRegression": "sklearn.linear_model._base",
    "Ridge": "sklearn.linear_model._ridge",
    "PoissonRegressor": "sklearn.linear_model._glm.glm",
}
"""Where the estimators of the list are really defined."""

_OBJECTS = (
    *(f"{_ESTIMATOR_MODULES[name]}.{name}" for name in ESTIMATORS),
    *(f"sklearn._loss.loss.{name}" for name in _LOSSES),
    *(
        f"sklearn._loss.link.{name}"
        for name in ("IdentityLink", "Interval", "LogLink", "LogitLink", "MultinomialLogit")
    ),
    "sklearn.compose._column_transformer.ColumnTransformer",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.impute._base.MissingIndicator",
    "sklearn.impute._base.SimpleImputer",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing._label.LabelEncoder",
)

TRUSTED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "CachedNode": frozenset(
            {
                *_OBJECTS,
                "builtins.dict",
                "builtins.list",
                "builtins.tuple",
                "numpy.dtype",
                "numpy.ndarray",
                "sklearn.tree._tree.Tree",
            }
        ),
        "DTypeNode": frozenset({"numpy.dtype"}),
        "DictNode": frozenset({"builtins.dict"}),
        "JsonNode": frozenset({"builtins.str"}),
        "ListNode": frozenset({"builtins.list"}),
        "LossNode": frozenset(f"sklearn._loss._loss.Cy{name}" for name in _LOSSES),
        "NdArrayNode": frozenset({"numpy.ndarray", *(f"numpy.{name}" for name in _SCALARS)}),
        "ObjectNode": frozenset(_OBJECTS),
        # The state of its generator names the generator, which skops itself holds to numpy's.
        "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
        "SliceNode": frozenset({"builtins.slice"}),
        "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
        "TupleNode": frozenset({"builtins.tuple"}),
        "TypeNode": frozenset(
            {
                *(f"builtins.{name}" for name in ("bool", "float", "int", "str")),
                *(f"numpy.{name}" for name in _SCALARS),
            }
        ),
    }
)
"""By the kind of a skops node, the types it may be of."""

TRUSTED_TYPES: Final = sorted(frozenset().union(*TRUSTED.values()))
"""All of them, for skops' own audit, which comes second."""
