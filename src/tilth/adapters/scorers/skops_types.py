"""Which types a skops file may name, by what the file wants to do with the name: exact names, never a prefix.

A name is only allowed for the kind of node it belongs to: a class whose instance is filled in is not thereby a function
that may be named. What could call anything (partial, methods, operators, constructors with arguments of the file's
choice) is on no list. Estimators are here when their answers can be computed from checked arrays alone; those whose
compiled code follows numbers of the file into memory are looked at in `skops_insides`. Reading is in `skops_file`.
"""

from __future__ import annotations

from collections.abc import Iterable

Names = frozenset[str]


def _of(module: str, names: str) -> Iterable[str]:
    return (f"{module}.{name}" for name in names.split())


# Filled in with __new__ and __setstate__ or __dict__ (ObjectNode)
OBJECTS: Names = frozenset(
    (
        *_of("sklearn._loss.link", "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit"),
        *_of(
            "sklearn._loss.loss",
            "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss HalfPoissonLoss "
            "HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss",
        ),
        *_of("sklearn.calibration", "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration"),
        *_of("sklearn.compose._column_transformer", "ColumnTransformer"),
        *_of("sklearn.compose._target", "TransformedTargetRegressor"),
        *_of("sklearn.cross_decomposition._pls", "PLSRegression"),
        *_of("sklearn.decomposition._factor_analysis", "FactorAnalysis"),
        *_of("sklearn.decomposition._fastica", "FastICA"),
        *_of("sklearn.decomposition._incremental_pca", "IncrementalPCA"),
        *_of("sklearn.decomposition._pca", "PCA"),
        *_of("sklearn.decomposition._truncated_svd", "TruncatedSVD"),
        *_of("sklearn.discriminant_analysis", "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis"),
        *_of("sklearn.dummy", "DummyClassifier DummyRegressor"),
        *_of("sklearn.ensemble._bagging", "BaggingClassifier BaggingRegressor"),
        *_of(
            "sklearn.ensemble._forest",
            "ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier RandomForestRegressor",
        ),
        *_of("sklearn.ensemble._gb", "GradientBoostingClassifier GradientBoostingRegressor"),
        *_of("sklearn.ensemble._hist_gradient_boosting.binning", "_BinMapper"),
        *_of(
            "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
            "HistGradientBoostingClassifier HistGradientBoostingRegressor",
        ),
        *_of("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor"),
        *_of("sklearn.ensemble._stacking", "StackingClassifier StackingRegressor"),
        *_of("sklearn.ensemble._voting", "VotingClassifier VotingRegressor"),
        *_of("sklearn.ensemble._weight_boosting", "AdaBoostClassifier AdaBoostRegressor"),
        *_of("sklearn.feature_selection._from_model", "SelectFromModel"),
        *_of("sklearn.feature_selection._rfe", "RFE RFECV"),
        *_of("sklearn.feature_selection._sequential", "SequentialFeatureSelector"),
        *_of(
            "sklearn.feature_selection._univariate_selection",
            "GenericUnivariateSelect SelectFdr SelectFpr SelectFwe SelectKBest SelectPercentile",
        ),
        *_of("sklearn.feature_selection._variance_threshold", "VarianceThreshold"),
        *_of("sklearn.frozen._frozen", "FrozenEstimator"),
        *_of(
            "sklearn.gaussian_process._gpc",
            "GaussianProcessClassifier _BinaryGaussianProcessClassifierLaplace",
        ),
        *_of("sklearn.gaussian_process._gpr", "GaussianProcessRegressor"),
        *_of(
            "sklearn.gaussian_process.kernels",
            "ConstantKernel DotProduct ExpSineSquared Exponentiation Matern Product RBF RationalQuadratic Sum WhiteKernel",
        ),
        *_of("sklearn.impute._base", "MissingIndicator SimpleImputer"),
        *_of("sklearn.impute._knn", "KNNImputer"),
        *_of("sklearn.isotonic", "IsotonicRegression"),
        *_of("sklearn.kernel_approximation", "Nystroem RBFSampler"),
        *_of("sklearn.kernel_ridge", "KernelRidge"),
        *_of("sklearn.linear_model._base", "LinearRegression"),
        *_of("sklearn.linear_model._bayes", "ARDRegression BayesianRidge"),
        *_of("sklearn.linear_model._coordinate_descent", "ElasticNet ElasticNetCV Lasso LassoCV"),
        *_of("sklearn.linear_model._glm.glm", "GammaRegressor PoissonRegressor TweedieRegressor"),
        *_of("sklearn.linear_model._huber", "HuberRegressor"),
        *_of("sklearn.linear_model._least_angle", "Lars LarsCV LassoLars LassoLarsCV LassoLarsIC"),
        *_of("sklearn.linear_model._logistic", "LogisticRegression LogisticRegressionCV"),
        *_of("sklearn.linear_model._omp", "OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV"),
        *_of("sklearn.linear_model._passive_aggressive", "PassiveAggressiveClassifier PassiveAggressiveRegressor"),
        *_of("sklearn.linear_model._perceptron", "Perceptron"),
        *_of("sklearn.linear_model._quantile", "QuantileRegressor"),
        *_of("sklearn.linear_model._ransac", "RANSACRegressor"),
        *_of("sklearn.linear_model._ridge", "Ridge RidgeCV RidgeClassifier RidgeClassifierCV"),
        *_of("sklearn.linear_model._stochastic_gradient", "SGDClassifier SGDRegressor"),
        *_of("sklearn.linear_model._theil_sen", "TheilSenRegressor"),
        *_of("sklearn.metrics._dist_metrics",
             "ChebyshevDistance64 EuclideanDistance64 ManhattanDistance64 MinkowskiDistance64"),
        *_of("sklearn.metrics._scorer", "_PassthroughScorer _Scorer"),
        *_of("sklearn.model_selection._classification_threshold", "FixedThresholdClassifier"),
        *_of("sklearn.model_selection._search", "GridSearchCV RandomizedSearchCV"),
        *_of("sklearn.model_selection._split", "KFold ShuffleSplit StratifiedKFold StratifiedShuffleSplit TimeSeriesSplit"),
        *_of("sklearn.multiclass", "OneVsOneClassifier OneVsRestClassifier OutputCodeClassifier _ConstantPredictor"),
        *_of("sklearn.naive_bayes", "BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB"),
        *_of("sklearn.neighbors._ball_tree", "BallTree"),
        *_of("sklearn.neighbors._classification", "KNeighborsClassifier"),
        *_of("sklearn.neighbors._kd_tree", "KDTree"),
        *_of("sklearn.neighbors._nearest_centroid", "NearestCentroid"),
        *_of("sklearn.neighbors._regression", "KNeighborsRegressor"),
        *_of("sklearn.neural_network._multilayer_perceptron", "MLPClassifier MLPRegressor"),
        *_of("sklearn.neural_network._stochastic_optimizers", "AdamOptimizer SGDOptimizer"),
        *_of("sklearn.pipeline", "FeatureUnion Pipeline"),
        *_of(
            "sklearn.preprocessing._data",
            "Binarizer MaxAbsScaler MinMaxScaler Normalizer PowerTransformer QuantileTransformer RobustScaler StandardScaler",
        ),
        *_of("sklearn.preprocessing._discretization", "KBinsDiscretizer"),
        *_of("sklearn.preprocessing._encoders", "OneHotEncoder OrdinalEncoder"),
        *_of("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
        *_of("sklearn.preprocessing._label", "LabelBinarizer LabelEncoder"),
        *_of("sklearn.preprocessing._polynomial", "PolynomialFeatures"),
        *_of("sklearn.preprocessing._target_encoder", "TargetEncoder"),
        *_of("sklearn.svm._classes", "LinearSVC LinearSVR NuSVC NuSVR SVC SVR"),
        *_of(
            "sklearn.tree._classes",
            "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor",
        ),
        *_of("sklearn.utils._metadata_requests", "MetadataRequest MethodMetadataRequest"),
    )
)  # fmt: skip

# Whose state is a tuple; all others keep a dict of attributes
COMPILED: Names = frozenset(
    n for n in OBJECTS if n.startswith(("sklearn.metrics._dist_metrics.", "sklearn.neighbors._ball_tree.", "sklearn.neighbors._kd_tree."))
)  # fmt: skip

# Called with numbers (LossNode)
LOSSES: Names = frozenset(
    (
        *_of(
            "sklearn._loss._loss",
            "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss CyHalfPoissonLoss "
            "CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss",
        ),
        *_of(
            "sklearn.linear_model._sgd_fast",
            "EpsilonInsensitive Hinge ModifiedHuber SquaredEpsilonInsensitive SquaredHinge",
        ),
    )
)

# Named and called later with a matrix (FunctionNode): arithmetic, and what selectors and scorers remember of their fit
FUNCTIONS: Names = frozenset(
    (
        *_of(
            "numpy",
            "abs absolute arcsinh arctan cbrt ceil cos cosh deg2rad exp exp2 expm1 fabs floor isfinite isnan log log10 "
            "log1p log2 negative positive rad2deg reciprocal rint sign sin sinh sqrt square tan tanh trunc",
        ),
        *_of("scipy.special", "expit logit"),
        *_of("scipy.special._special_ufuncs", "expit log_expit logit"),
        *_of("scipy.special._ufuncs", "expit log_expit logit"),
        *_of("sklearn.feature_selection._univariate_selection", "chi2 f_classif f_regression"),
        *_of("sklearn.feature_selection._mutual_info", "mutual_info_classif mutual_info_regression"),
        *_of(
            "sklearn.metrics._classification",
            "accuracy_score balanced_accuracy_score brier_score_loss f1_score log_loss matthews_corrcoef "
            "precision_score recall_score",
        ),
        *_of("sklearn.metrics._ranking", "average_precision_score roc_auc_score"),
        *_of(
            "sklearn.metrics._regression",
            "explained_variance_score max_error mean_absolute_error mean_absolute_percentage_error mean_squared_error "
            "mean_squared_log_error median_absolute_error r2_score root_mean_squared_error",
        ),
    )
)

# Called with one text or number at most: key types of dicts, dtypes of encoders (TypeNode)
KEY_TYPES: Names = frozenset(
    (
        *_of("builtins", "bool float int str"),
        *_of("numpy", "bool float32 float64 int32 int64 str_"),
    )
)
TYPES: Names = KEY_TYPES | frozenset((*_of("builtins", "object"), *_of("numpy", "object_")))

# numpy scalars, and arrays of numbers, texts and times (NdArrayNode)
SCALARS: Names = frozenset(
    _of(
        "numpy",
        "bool bytes_ datetime64 float16 float32 float64 int16 int32 int64 int8 str_ timedelta64 uint16 uint32 uint64 uint8",
    )
)
ARRAYS: Names = SCALARS | {"numpy.ndarray"}

DICTS: Names = frozenset(("builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"))
TREE = "sklearn.tree._tree.Tree"
