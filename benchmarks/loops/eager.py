"""A plain eager loop in PyTorch: loss and accuracy on training and test rows of each epoch."""

import torch

from benchmarks.loops.contract import Timed, timed
from wattsweep.datasets import Split
from wattsweep.training import TrainingPlan


class Eager:
    """Trains a Sequential by Adam, rows shuffled by an index."""

    def __init__(self, plan: TrainingPlan, split: Split) -> None:
        torch.set_num_threads(1)
        self.plan = plan
        arrays = (split.train_x, split.train_y.argmax(axis=1), split.test_x, split.test_y.argmax(axis=1))
        self.train_x, self.train_y, self.test_x, self.test_y = (torch.from_numpy(array) for array in arrays)

    def turn(self, seed: int) -> Timed:
        """Train once."""
        torch.manual_seed(seed)
        return timed(self.train, self.plan.epochs)

    def train(self) -> list[list[float]]:
        """Loss, accuracy, test loss, test accuracy of each epoch."""
        plan, history = self.plan, []
        layers: list[torch.nn.Module] = []
        for n_in, n_out in plan.architecture.layer_shapes:
            layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1])
        optimizer = torch.optim.Adam(model.parameters(), plan.learning_rate, eps=1e-7)
        loss_of = torch.nn.CrossEntropyLoss()
        for _ in range(plan.epochs):
            total, hits = torch.zeros(()), torch.zeros((), dtype=torch.int64)
            for rows in torch.randperm(plan.n_train).split(plan.batch_size):
                targets = self.train_y[rows]
                logits = model(self.train_x[rows])
                loss = loss_of(logits, targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(rows)
                hits += (logits.argmax(dim=1) == targets).sum()
            with torch.no_grad():
                logits = model(self.test_x)
                test_loss = loss_of(logits, self.test_y).item()
                test_hits = (logits.argmax(dim=1) == self.test_y).sum().item()
            history.append(
                [total.item() / plan.n_train, hits.item() / plan.n_train, test_loss, test_hits / plan.n_test]
            )
        return history
