"""The baselines of continual RL: PPO with fine-tuning, EWC or UCL, in torch."""
