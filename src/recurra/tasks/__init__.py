"""Floor 5: what is to be learnt. A new task is one file and one line of TASKS."""

from typing import Any

from recurra.core.config import by_kind
from recurra.tasks.adding_problem import AddingProblem, AddingProblemConfig
from recurra.tasks.anbn import AnBn, AnBnConfig
from recurra.tasks.anomaly_detection import AnomalyDetection
from recurra.tasks.anomaly_options import AnomalyDetectionConfig
from recurra.tasks.anomaly_results import AnomalyResult
from recurra.tasks.anomaly_stream import AnomalyStream
from recurra.tasks.answers import Answer
from recurra.tasks.base import (
    Backtesting,
    Calibrating,
    Classifying,
    FileTask,
    PlainItems,
    Preparation,
    Prepared,
    Settling,
    Streaming,
    StreamOptions,
    TextItems,
    require_texts,
)
from recurra.tasks.copy_memory import CopyMemory, CopyMemoryConfig
from recurra.tasks.dyck import Dyck, DyckConfig
from recurra.tasks.forecast_options import ForecastingConfig
from recurra.tasks.forecast_results import ForecastResult
from recurra.tasks.forecasting import Forecasting
from recurra.tasks.language_modelling import LanguageModelling, LanguageModellingConfig, documents
from recurra.tasks.live_forecast import LiveForecast
from recurra.tasks.parity import Parity, ParityConfig
from recurra.tasks.pictures import Alignment, ForecastPicture, Picture, ScorePicture
from recurra.tasks.question_answering import QuestionAnswering, QuestionAnsweringConfig
from recurra.tasks.series_classification import SeriesClassification, SeriesClassificationConfig
from recurra.tasks.series_regression import SeriesRegression, SeriesRegressionConfig
from recurra.tasks.story_questions import StoryAnswer, StoryQuestions, StoryQuestionsConfig
from recurra.tasks.summarisation import Summarisation, SummarisationConfig
from recurra.tasks.tagging import Tagging, TaggingConfig
from recurra.tasks.text_classification import TextClassification, TextClassificationConfig
from recurra.tasks.translation import Translation, TranslationConfig
from recurra.tasks.whole_series import values_of

TASKS: dict[str, Any] = {
    "language-modelling": LanguageModelling,
    "text-classification": TextClassification,
    "question-answering": QuestionAnswering,
    "translation": Translation,
    "summarisation": Summarisation,
    "story-questions": StoryQuestions,
    "tagging": Tagging,
    "forecasting": Forecasting,
    "series-classification": SeriesClassification,
    "series-regression": SeriesRegression,
    "anomaly-detection": AnomalyDetection,
    "adding-problem": AddingProblem,
    "copy-memory": CopyMemory,
    "dyck": Dyck,
    "parity": Parity,
    "anbn": AnBn,
}
TaskConfig = by_kind(task.Config for task in TASKS.values())

__all__ = [
    "TASKS",
    "AddingProblem",
    "AddingProblemConfig",
    "Alignment",
    "AnBn",
    "AnBnConfig",
    "AnomalyDetection",
    "AnomalyDetectionConfig",
    "AnomalyResult",
    "AnomalyStream",
    "Answer",
    "Backtesting",
    "Calibrating",
    "Classifying",
    "CopyMemory",
    "CopyMemoryConfig",
    "Dyck",
    "DyckConfig",
    "FileTask",
    "ForecastPicture",
    "ForecastResult",
    "Forecasting",
    "ForecastingConfig",
    "LanguageModelling",
    "LanguageModellingConfig",
    "LiveForecast",
    "Parity",
    "ParityConfig",
    "Picture",
    "PlainItems",
    "Preparation",
    "Prepared",
    "QuestionAnswering",
    "QuestionAnsweringConfig",
    "ScorePicture",
    "SeriesClassification",
    "SeriesClassificationConfig",
    "SeriesRegression",
    "SeriesRegressionConfig",
    "Settling",
    "StoryAnswer",
    "StoryQuestions",
    "StoryQuestionsConfig",
    "StreamOptions",
    "Streaming",
    "Summarisation",
    "SummarisationConfig",
    "Tagging",
    "TaggingConfig",
    "TaskConfig",
    "TextClassification",
    "TextClassificationConfig",
    "TextItems",
    "Translation",
    "TranslationConfig",
    "documents",
    "require_texts",
    "values_of",
]
