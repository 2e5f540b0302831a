"""Floor 2: predictions and references -> numbers. Plain functions, and collectors with update and compute."""

from recurra.metrics.anomaly import AnomalyMetrics, Scored, average_precision, detection_delays, event_counts, events_of
from recurra.metrics.answers import AnswerMetrics, ScoredAnswer, answer_exact_match, answer_f1, normalise_answer
from recurra.metrics.classification import (
    accuracy,
    confusion_matrix,
    expected_calibration_error,
    precision_recall_f1,
    roc_auc,
)
from recurra.metrics.collectors import ClassificationMetrics, Classified, MultiClassified, MultiLabelMetrics
from recurra.metrics.forecasting import (
    crps_of_quantiles,
    crps_of_samples,
    overall_weighted_average,
    percentage_errors,
    pinball_losses,
    seasonal_scale,
    symmetric_percentage_errors,
)
from recurra.metrics.forecasts import Forecasted, ForecastMetrics, Outcome
from recurra.metrics.generation import (
    Generated,
    Rouge,
    SummaryMetrics,
    TextScores,
    TranslationMetrics,
    longest_common_subsequence,
    require_sacrebleu,
    rouge,
    rouge_l,
    sentence_bleu,
)
from recurra.metrics.language import LanguageMetrics, bits_per_character, perplexity
from recurra.metrics.multilabel import hamming_loss, micro_f1, multilabel_scores, subset_accuracy
from recurra.metrics.nab import NAB_PROFILES, NabProfile, NabScore, NabSeries, best_nab_score, nab_score
from recurra.metrics.problems import StepMetrics, SumMetrics
from recurra.metrics.regression import RegressionMetrics, mean_absolute_error, r_squared, root_mean_squared_error
from recurra.metrics.schemes import Scheme, Span, breaks, convert, detect_scheme, spans_of, tags_of
from recurra.metrics.tagging import Tagged, TaggedSpan, TagMetrics

METRICS = {
    "classification": ClassificationMetrics,
    "multi-label": MultiLabelMetrics,
    "language": LanguageMetrics,
    "tagging": TagMetrics,
    "answers": AnswerMetrics,
    "translation": TranslationMetrics,
    "summary": SummaryMetrics,
    "regression": RegressionMetrics,
    "forecasts": ForecastMetrics,
    "anomaly": AnomalyMetrics,
    "sums": SumMetrics,
    "steps": StepMetrics,
}

__all__ = [
    "METRICS",
    "NAB_PROFILES",
    "AnomalyMetrics",
    "AnswerMetrics",
    "ClassificationMetrics",
    "Classified",
    "ForecastMetrics",
    "Forecasted",
    "Generated",
    "LanguageMetrics",
    "MultiClassified",
    "MultiLabelMetrics",
    "NabProfile",
    "NabScore",
    "NabSeries",
    "Outcome",
    "RegressionMetrics",
    "Rouge",
    "Scheme",
    "Scored",
    "ScoredAnswer",
    "Span",
    "StepMetrics",
    "SumMetrics",
    "SummaryMetrics",
    "TagMetrics",
    "Tagged",
    "TaggedSpan",
    "TextScores",
    "TranslationMetrics",
    "accuracy",
    "answer_exact_match",
    "answer_f1",
    "average_precision",
    "best_nab_score",
    "bits_per_character",
    "breaks",
    "confusion_matrix",
    "convert",
    "crps_of_quantiles",
    "crps_of_samples",
    "detect_scheme",
    "detection_delays",
    "event_counts",
    "events_of",
    "expected_calibration_error",
    "hamming_loss",
    "longest_common_subsequence",
    "mean_absolute_error",
    "micro_f1",
    "multilabel_scores",
    "nab_score",
    "normalise_answer",
    "overall_weighted_average",
    "percentage_errors",
    "perplexity",
    "pinball_losses",
    "precision_recall_f1",
    "r_squared",
    "require_sacrebleu",
    "roc_auc",
    "root_mean_squared_error",
    "rouge",
    "rouge_l",
    "seasonal_scale",
    "sentence_bleu",
    "spans_of",
    "subset_accuracy",
    "symmetric_percentage_errors",
    "tags_of",
]
