"""Floor 2: predictions and references -> numbers. Plain functions, and collectors with update and compute."""

from recurra.metrics.answers import AnswerMetrics, ScoredAnswer, answer_exact_match, answer_f1, normalise_answer
from recurra.metrics.classification import (
    accuracy,
    confusion_matrix,
    expected_calibration_error,
    precision_recall_f1,
    roc_auc,
)
from recurra.metrics.collectors import ClassificationMetrics, Classified, MultiClassified, MultiLabelMetrics
from recurra.metrics.language import LanguageMetrics, bits_per_character, perplexity
from recurra.metrics.multilabel import hamming_loss, micro_f1, multilabel_scores, subset_accuracy

METRICS = {
    "classification": ClassificationMetrics,
    "multi-label": MultiLabelMetrics,
    "language": LanguageMetrics,
    "answers": AnswerMetrics,
}

__all__ = [
    "METRICS",
    "AnswerMetrics",
    "ClassificationMetrics",
    "Classified",
    "LanguageMetrics",
    "MultiClassified",
    "MultiLabelMetrics",
    "ScoredAnswer",
    "accuracy",
    "answer_exact_match",
    "answer_f1",
    "bits_per_character",
    "confusion_matrix",
    "expected_calibration_error",
    "hamming_loss",
    "micro_f1",
    "multilabel_scores",
    "normalise_answer",
    "perplexity",
    "precision_recall_f1",
    "roc_auc",
    "subset_accuracy",
]
