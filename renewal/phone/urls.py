"""Addresses of the pages for phones, below `/field/`."""

from django.urls import path

from renewal.phone import views

app_name = "field"
urlpatterns = [
    path("", views.order_list, name="list"),
    path("<int:pk>/", views.order_page, name="order"),
    path("<int:pk>/state/", views.order_state, name="state"),
    path("<int:pk>/close/", views.close_order, name="close"),
    path("worker.js", views.worker, name="worker"),
]
