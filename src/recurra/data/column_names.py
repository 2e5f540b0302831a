"""Usual names of columns, the likelier ones first."""

from __future__ import annotations

TEXT_NAMES = (
    "text", "review", "sentence", "content", "message", "comment", "body", "document", "tweet", "utterance",
    "paragraphs", "paragraph", "abstract", "post", "sms", "文本", "评论", "内容", "description",
)  # fmt: skip
LABEL_NAMES = (
    "label", "labels", "class", "sentiment", "category", "target", "tag", "tags", "rating", "stars", "polarity",
    "topic", "intent", "emotion", "score", "area", "genre", "标签", "类别", "y",
)  # fmt: skip
_OTHER_NAMES = (
    "id", "index", "title", "headline", "question", "date", "name", "author", "url", "user", "source", "split", "lang",
    "language", "time", "标题",
)  # fmt: skip
KNOWN_NAMES = {*TEXT_NAMES, *LABEL_NAMES, *_OTHER_NAMES}
