"""Classification metrics: equal to scikit-learn's, and to those counted by hand."""

import pytest
import torch
from refusals import refused
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, top_k_accuracy_score

from scalesearch.training.inference import classification_metrics


@pytest.mark.parametrize("classes", [3, 10, 100])
def test_metrics_equal_those_of_scikit_learn(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(500, classes, generator=generator)
    labels = torch.randint(0, classes, (500,), generator=generator)
    logits[range(500), labels] += 1
    found, truth, answers = (
        classification_metrics(logits, labels),
        labels.numpy(),
        logits.argmax(1).numpy(),
    )
    names = range(classes)
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, answers, labels=names, zero_division=0
    )
    assert found.images == 500
    assert found.top1 == pytest.approx((truth == answers).mean())
    assert found.top5 == pytest.approx(
        top_k_accuracy_score(truth, logits.numpy(), k=5, labels=names) if classes > 5 else 1.0
    )
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert found.f1 == pytest.approx(f1)
    assert found.confusion == tuple(
        map(tuple, confusion_matrix(truth, answers, labels=names).tolist())
    )


def test_metrics_equal_those_counted_by_hand() -> None:
    answers, truth = torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([0, 1, 1, 2, 2, 0])
    found = classification_metrics(torch.nn.functional.one_hot(answers, 3).float(), truth)
    assert found.confusion == ((1, 0, 1), (1, 1, 0), (0, 0, 2))
    assert found.top1 == 4 / 6
    assert found.precision == (1 / 2, 1, 2 / 3)
    assert found.recall == (1 / 2, 1 / 2, 1)
    assert found.f1 == pytest.approx((1 / 2, 2 / 3, 4 / 5))


def test_a_class_without_images_and_predictions_has_zeros() -> None:
    found = classification_metrics(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([0]))
    assert (found.precision, found.recall, found.f1) == ((1, 0, 0), (1, 0, 0), (1, 0, 0))


def test_among_equal_logits_the_lower_class_comes_first() -> None:
    alike = torch.zeros(7, 7)
    found = classification_metrics(alike, torch.arange(7))
    assert found.top1 == 1 / 7
    assert found.top5 == 5 / 7


def test_nan_logits_are_refused() -> None:
    with refused(ValueError):
        classification_metrics(torch.tensor([[float("nan"), 1.0]]), torch.tensor([0]))
    with refused(ValueError):
        classification_metrics(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
