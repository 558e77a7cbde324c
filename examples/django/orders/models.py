from django.db import models


class Order(models.Model):
    item = models.CharField(max_length=100)
    is_reserved = models.BooleanField(default=False)
    is_confirmed = models.BooleanField(default=False)
